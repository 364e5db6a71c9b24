"""The README's promises: its example runs, the flags and files it names exist, its C++ is the example's; and those of the
trainer's README, of the flags where the trainer is built."""
import pathlib
import re
import subprocess
import unittest

import glowworm_e2e as e2e

README = (e2e.SOURCE / "README.md").read_text()
TRAINER = (e2e.SOURCE / "model" / "train" / "README.md").read_text()
TRAINERS_SECTION = re.search(r"^## Train a flow\n.*?(?=^## )", README, re.M | re.S)[0]
BIN = pathlib.Path(e2e.BINARY).parent
TRAIN = BIN / "glowworm-train"


def flags_named(text):
    ours = re.sub(r"(?:cmake --|docker )[^`\n]*", "", text)
    return set(re.findall(r"(?<![\w-])--([a-z_]+)", ours)) - {"help"}


class ReadmeTest(unittest.TestCase):
    def test_the_example_prints_what_the_server_answers(self):
        server = e2e.Server(None)  # as the README starts it: the bundled repository
        self.addCleanup(server.stop)
        out = subprocess.run([BIN / "glowworm-example", server.address], capture_output=True, text=True, check=True,
                             timeout=60).stdout
        pixels = e2e.np.full((2, 1, 8, 8), 8.5, "f4")
        pixels[1] = 0.5
        request = e2e.pb.LogLikelihoodRequest(model=e2e.pb.ModelRef(name="digits"), x=e2e.tensor(pixels))
        want = server.stub().LogLikelihood(request, timeout=30).log_likelihood
        self.assertIn("log p = %.6f and %.6f nats" % tuple(want), out)
        self.assertIn("drew 3 samples with seed 42", out)

    def test_every_flag_it_names_exists(self):
        commands = ("score", "sample", "bench")
        helps = [[BIN / "glowworm-server", "--help"]] + [[BIN / "glowworm", c, "--help"] for c in commands]
        known = "".join(subprocess.run(h, capture_output=True, text=True).stdout for h in helps)
        named = flags_named(README.replace(TRAINERS_SECTION, ""))
        self.assertGreater(len(named), 10)
        self.assertEqual([f for f in sorted(named) if f"--{f}" not in known], [])

    @unittest.skipUnless(TRAIN.exists(), "glowworm-train was not built")
    def test_the_trainers_readme_tells_of_every_flag_and_of_no_other(self):
        known = flags_named(subprocess.run([TRAIN, "--help"], capture_output=True, text=True).stdout)
        self.assertGreater(len(known), 40)
        self.assertEqual(flags_named(TRAINER), known)
        self.assertLessEqual(flags_named(TRAINERS_SECTION) - {"repository"}, known)

    def test_every_file_it_names_exists(self):
        named = set(re.findall(r"`((?:tests|deploy|client|server|model|proto)/[\w/.*-]+)`", README))
        named |= set(re.findall(r"\]\(([\w/.-]+)\)", README))
        self.assertGreater(len(named), 10)
        self.assertEqual([f for f in sorted(named) if not list(e2e.SOURCE.glob(f.rstrip("/")))], [])

    def test_its_calls_are_the_examples(self):
        example = (e2e.SOURCE / "client" / "example.cc").read_text()
        for call in ("glowworm::Client::Connect(", "glowworm::Array::Of<float>({2, 1, 8, 8}, pixels)",
                     "(*client)->LogLikelihood("):
            self.assertIn(call, README)
            self.assertIn(call, example)


if __name__ == "__main__":
    unittest.addModuleCleanup(e2e.remove_temporary_files)
    unittest.main()
