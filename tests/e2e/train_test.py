"""glowworm-train as its user meets it: rows in, a repository that glowworm-server serves as it is, and one sentence
for what cannot be trained. ctest sets GLOWWORM_TRAIN where the trainer is built; elsewhere this test says that it
skipped."""
import gzip
import json
import math
import os
import pathlib
import re
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

import glowworm_e2e as e2e

np = e2e.np
TRAIN = os.environ.get("GLOWWORM_TRAIN", "")
CLIENT = pathlib.Path(e2e.BINARY).with_name("glowworm")
TINY = ("--steps=2", "--hidden=16", "--blocks=1", "--epochs=3", "--batch=64", "--threads=1")
SKIPPED = 77  # ctest knows this exit code
ROWS = 300


def new_folder():
    return pathlib.Path(tempfile.mkdtemp(dir=e2e.TEMPORARY))


def write_npy(array, name="rows.npy"):
    path = new_folder() / name
    np.save(path, np.ascontiguousarray(array))
    return path


def write_text(text, name="rows.csv"):
    path = new_folder() / name
    path.write_text(text)
    return path


def write_idx(array):
    path = new_folder() / "images.idx.gz"
    head = struct.pack(">HBB", 0, 8, array.ndim) + b"".join(struct.pack(">I", n) for n in array.shape)
    path.write_bytes(gzip.compress(head + array.tobytes()))
    return path


def table(rows=ROWS, features=3, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, features))


def csv_of(columns):
    """CSV text of a dict of columns."""
    lines = [",".join(columns)] + [",".join(str(v) for v in row) for row in zip(*columns.values())]
    return "\n".join(lines) + "\n"


def bytes_limited(limit):
    return {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))}


def command(out, flags):
    """A tiny training's, but for what `flags` say."""
    return [TRAIN, f"--out={out}", *{flag.split("=")[0]: flag for flag in (*TINY, *flags)}.values()]


class Training:
    """One finished run of glowworm-train into a new repository, or into `out`."""

    def __init__(self, *flags, name="flow", out=None, **options):
        self.out = pathlib.Path(out or new_folder() / name / "1")
        self.repository = self.out.parent.parent
        done = subprocess.run(command(self.out, flags), capture_output=True, text=True, timeout=240, **options)
        self.code, self.stdout, self.stderr = done.returncode, done.stdout, done.stderr

    def files(self):
        return sorted(p.name for p in self.out.iterdir()) if self.out.is_dir() else []

    def log(self):
        return [json.loads(line) for line in (self.out / "training.jsonl").read_text().splitlines()]

    def spec(self):
        raw = (self.out / "flow.safetensors").read_bytes()
        size = struct.unpack("<Q", raw[:8])[0]
        return json.loads(json.loads(raw[8:8 + size])["__metadata__"]["glowworm.flow"])

    def tensors(self):
        return {k: v.tobytes() for k, v in e2e.read_safetensors(self.out / "flow.safetensors").items()}


class TrainTest(unittest.TestCase):
    def train(self, *flags, **options):
        done = Training(*flags, **options)
        self.assertEqual((done.code, done.stderr), (0, ""), done.stdout)
        self.assertEqual(done.files(), ["flow.safetensors", "training.jsonl", "training.svg"])
        return done

    def serve(self, training, *flags):
        server = e2e.Server(training.repository, *flags)
        self.addCleanup(server.stop)
        return server

    def log_p(self, server, x, **fields):
        request = e2e.pb.LogLikelihoodRequest(x=e2e.tensor(x), **fields)
        return np.array(server.stub().LogLikelihood(request, timeout=30).log_likelihood)

    def client(self, server, *words):
        done = subprocess.run([CLIENT, *words, f"--server={server.address}"], capture_output=True, text=True,
                              timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout


class ServedTest(TrainTest):
    def test_the_mean_of_served_log_p_is_the_test_log_likelihood_of_the_file(self):
        held_out = table(seed=1)
        done = self.train(f"--data={write_npy(table())}", f"--test={write_npy(held_out, 'test.npy')}")
        provenance = done.spec()["provenance"]
        self.assertEqual((provenance["data"], provenance["test_rows"]), ("rows.npy", str(ROWS)))
        stated = float(provenance["test_log_likelihood"])
        self.assertAlmostEqual(stated, -done.log()[-1]["test_nats"], delta=1e-6)  # it has six digits
        served = self.log_p(self.serve(done, "--precision=float64"), held_out)
        # The trainer's sum is float32: per feature a standardisation, a normal and, a step, three log-dets.
        terms = held_out.shape[1] * (2 + 3 * 2)
        largest = np.square(held_out).max() / 2 + math.log(2 * math.pi)
        self.assertLess(abs(served.mean() - stated), terms * largest * np.finfo("f4").eps + 1e-6)

    def test_the_client_scores_and_samples(self):
        rows = write_npy(table())
        server = self.serve(self.train(f"--data={rows}", name="mine"))
        scores = self.client(server, "score", "--model=mine", f"--input={rows}").splitlines()
        self.assertEqual(scores[0], "row,log_likelihood,tail_probability,status")
        self.assertEqual(len(scores), 1 + ROWS)
        self.assertEqual({line.rsplit(",", 1)[1] for line in scores[1:]}, {"OK"})
        samples = self.client(server, "sample", "--num=5", "--seed=1", "--format=csv").splitlines()
        self.assertEqual([len(line.split(",")) for line in samples], [3] * 5)

    def test_columns_of_a_csv_are_chosen_by_name(self):
        x = table()
        text = csv_of({"a": x[:, 0], "note": ["some text"] * ROWS, "b": x[:, 1], "c": x[:, 2]})
        done = self.train(f"--data={write_text(text)}", "--columns=c,a")
        self.assertEqual(done.spec()["provenance"]["columns"], "c,a")
        by_array = self.train(f"--data={write_npy(x[:, [2, 0]])}")
        self.assertEqual(done.tensors(), by_array.tensors())

    def test_names_of_many_columns_are_cut_to_what_a_file_holds(self):
        x = table(features=200)
        text = csv_of({f"a measurement with a long name {i}": x[:, i] for i in range(200)})
        columns = self.train(f"--data={write_text(text)}", "--epochs=1").spec()["provenance"]["columns"]
        self.assertEqual((len(columns), columns[-3:]), (4096, "..."))

    def test_context_columns_move_the_density(self):
        t = np.random.default_rng(2).choice([-2.0, 2.0], ROWS)
        x = table() / 4 + t[:, None]
        text = csv_of({"x": x[:, 0], "y": x[:, 1], "t": t})
        done = self.train(f"--data={write_text(text)}", "--context_columns=t", "--epochs=30", "--learning_rate=0.01")
        server = self.serve(done)
        own, other = (self.log_p(server, x[:, :2], context=e2e.tensor(c[:, None])).mean() for c in (t, -t))
        self.assertGreater(own, other + 1)

    def test_labels_choose_the_class(self):
        k = np.random.default_rng(3).integers(0, 2, ROWS)
        x = table() / 4 + 4 * k[:, None]
        labels = write_npy(k.astype("u1"), "labels.npy")
        done = self.train(f"--data={write_npy(x)}", f"--labels={labels}", "--epochs=30", "--learning_rate=0.02")
        self.assertEqual(done.spec()["provenance"]["train_rows"], str(ROWS * 8 // 10))
        server = self.serve(done)
        own, other = (self.log_p(server, x, class_label=list(c)).mean() for c in (k, 1 - k))
        self.assertGreater(own, other + 1)

    def test_images_are_padded_and_counted_in_bits_per_pixel_of_theirs(self):
        pixels = np.random.default_rng(4).integers(100, 156, (ROWS, 4, 4), dtype="u1")
        done = self.train("--preset=image-glow-small", f"--data={write_idx(pixels)}", "--pad=2", "--levels=2",
                          name="tiles")
        end = done.log()[-1]
        self.assertAlmostEqual(end["test_bits_per_dim"], end["test_nats"] / math.log(2) / 16, delta=1e-9)
        server = self.serve(done)
        self.assertEqual(done.spec()["event_shape"], [1, 8, 8])
        padded = np.pad(pixels, ((0, 0), (2, 2), (2, 2)))[:, None]
        self.assertTrue(np.isfinite(self.log_p(server, padded)).all())
        picture = new_folder() / "tiles.png"
        self.client(server, "sample", "--model=tiles", "--num=4", "--seed=1", f"--png={picture}", "--format=csv",
                    "--output=/dev/null")
        self.assertEqual(picture.read_bytes()[:8], b"\x89PNG\r\n\x1a\n")


class RunTest(TrainTest):
    def test_an_interrupted_training_goes_on_as_if_it_had_not_been(self):
        flags = (f"--data={write_npy(table())}", "--epochs=60", "--batch=16", "--patience=0")
        out = new_folder() / "flow" / "1"
        running = subprocess.Popen(command(out, flags), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while not running.stdout.readline().startswith("epoch 2/"):
            self.assertIsNone(running.poll())
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=60)
        self.assertEqual(running.returncode, 130)
        self.assertRegex(errors, r"^glowworm-train: stopped in epoch \d+, .* --resume\n$")
        self.assertIn("training.checkpoint", os.listdir(out))
        self.assertNotIn("flow.safetensors", os.listdir(out))
        again = Training(*flags, out=out)
        self.assertEqual(again.code, 2)
        self.assertIn("did not finish: go on with --resume", again.stderr)
        other = Training("--resume", f"--data={write_npy(table(rows=ROWS + 10))}", *flags[1:], out=out)
        self.assertEqual(other.code, 2)
        self.assertIn("the checkpoint is of another training: expected rows=", other.stderr)
        resumed = self.train("--resume", *flags, out=out)
        self.assertEqual([line["epoch"] for line in resumed.log()[:-1]], list(range(1, 61)))
        self.assertEqual(resumed.tensors(), self.train(*flags).tensors())

    def test_a_second_training_into_the_same_version_is_refused(self):
        rows = write_npy(table())
        first = self.train(f"--data={rows}")
        before = (first.out / "flow.safetensors").read_bytes()
        second = Training(f"--data={rows}", "--seed=2", out=first.out)
        self.assertEqual(second.code, 2)
        self.assertIn("already has a flow.safetensors", second.stderr)
        self.assertEqual((first.out / "flow.safetensors").read_bytes(), before)

    def test_the_log_has_a_line_an_epoch_and_an_end_and_the_picture_is_svg(self):
        done = self.train(f"--data={write_npy(table())}")
        *epochs, end = done.log()
        self.assertEqual([(line["event"], line["epoch"]) for line in epochs], [("epoch", k) for k in (1, 2, 3)])
        self.assertEqual((end["event"], end["epochs"], end["name"]), ("end", 3, "flow"))
        best = min(epochs, key=lambda line: line["validation_nats"])
        self.assertEqual(end["best_epoch"], best["epoch"])
        self.assertLessEqual(end["test_disagreement"], 1e-8)
        picture = xml.etree.ElementTree.parse(done.out / "training.svg").getroot()
        self.assertEqual(picture.tag, "{http://www.w3.org/2000/svg}svg")

    def test_a_pipe_gets_a_line_an_epoch_and_nothing_drawn_over(self):
        out = self.train(f"--data={write_npy(table())}").stdout
        self.assertEqual(re.findall(r"^epoch (\d)/3 train \S+ validation \S+ nats", out, re.M), ["1", "2", "3"])
        self.assertNotRegex(out, "[\r\x1b]")
        self.assertIn("log p of validation rows", out)

    def test_a_config_file_says_what_flags_say_and_flags_come_after_it(self):
        rows = write_npy(table())
        config = write_text("# small\nlinear = qr\nscale = softplus\nseed=7\nclip = 0\nhidden = 99\n", "small.conf")
        by_file = self.train(f"--data={rows}", f"--config={config}")
        by_flags = self.train(f"--data={rows}", "--linear=qr", "--scale=softplus", "--seed=7", "--clip=0")
        self.assertEqual(by_file.tensors(), by_flags.tensors())

    def test_a_flow_is_named_after_its_folder_wherever_the_command_is_run(self):
        folder = new_folder() / "mine" / "1"
        folder.mkdir(parents=True)
        rows = f"--data={write_npy(table())}"
        done = subprocess.run(command(".", [rows]), cwd=folder, capture_output=True, text=True, timeout=240)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("\nmine: all epochs done", done.stdout)

    def test_the_command_of_the_readme_trains(self):
        readme = (e2e.SOURCE / "README.md").read_text()
        flags = re.search(r"^build/bin/glowworm-train (.*) --out=\S+$", readme, re.M)[1].split()
        done = self.train(*flags, cwd=e2e.SOURCE)
        self.assertEqual(len(done.spec()["provenance"]["columns"].split(",")), 30)

    def test_help_names_every_flag_that_the_tests_use(self):
        done = subprocess.run([TRAIN, "--help"], capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for flag in ("--data=", "--out=", "--preset=", "--resume", "--config=", "--pad=", "--labels="):
            self.assertIn(flag, done.stdout)


class RefusedTest(TrainTest):
    def refuse(self, *flags, text, out=None, **options):
        """Exit code 2, one line with `text` and no folder of a path, and no file left in --out."""
        done = Training(*flags, out=out, **options)
        self.assertEqual(done.code, 2, done.stdout + done.stderr)
        self.assertRegex(done.stderr, r"\Aglowworm-train: [^\n]+\n\Z")
        self.assertIn(text, done.stderr)
        self.assertNotIn(str(e2e.TEMPORARY), done.stderr)
        self.assertEqual([f for f in done.files() if f not in ("training.jsonl", "training.svg")], [])

    def refuse_rows(self, array, text):
        self.refuse(f"--data={write_npy(array)}", text=text)

    def test_rows_that_cannot_be_trained_on(self):
        missing, constant = table(), table()
        missing[16, 1] = np.nan
        constant[:, 2] = 7
        self.refuse_rows(missing, "rows.npy: row 17, column 2: expected a finite number, got nan")
        self.refuse_rows(constant, "rows.npy: column 3 is 7 in every row")
        self.refuse_rows(table(rows=1), "rows.npy: expected at least 2 rows, got 1")
        self.refuse_rows(table().astype("i4"), "values of type '<i4' are not taken")
        self.refuse_rows(table() * 1e300, "feature 1 of rows.npy is too large")
        self.refuse_rows(table(features=1), "at least 2 features")
        self.refuse_rows(np.zeros((9, 4, 4)), "images, which are read as uint8")

    def test_csv_files_that_cannot_be_trained_on(self):
        for body, text in (("1,2,3\n4,5\n6,7,8\n", "row 3, column 2: the row ends here; expected 3 columns"),
                           ("1,2,3\n4,,6\n", 'row 3, column 2: expected a number, got ""'),
                           ("1,2,3\n4,x,6\n", 'row 3, column 2: expected a number, got "x"'),
                           ("1,2,3\n4,nan,6\n", 'row 3, column 2 "b": expected a finite number')):
            with self.subTest(body):
                self.refuse(f"--data={write_text('a,b,c' + chr(10) + body)}", text=text)
        self.refuse(f"--data={write_text(csv_of({'a': [1, 2], 'b': [2, 3]}))}", "--columns=a,z", text='"z"')

    def test_files_that_are_not_there_or_of_another_type(self):
        self.refuse(f"--data={new_folder() / 'none.npy'}", text="none.npy: the file does not exist")
        self.refuse(f"--data={new_folder()}", text="a folder, expected a file")
        self.refuse(f"--data={write_text('hello', 'rows.npy')}", text="rows.npy: ")
        self.refuse(f"--data={write_npy(table())}", f"--config={new_folder() / 'none'}", text="--config: ")
        self.refuse(f"--data={write_npy(table())}", "--resume", text="no checkpoint to resume from")

    def test_flags_that_are_not_as_they_should_be(self):
        rows = f"--data={write_npy(table())}"
        for flag, text in (("--no_such_flag=1", "unknown flag --no_such_flag"),
                           ("--linear=svd", '--linear: expected plu|qr|full|learned-permutation, got "svd"'),
                           ("--preset=small", "--preset: expected tabular-glow"),
                           ("--batch=1", "--batch: expected 2 to"), ("--noise=x", "--noise: "),
                           ("extra", "expected a flag"), ("--name=a\nb", "--name: expected at most 256 bytes"),
                           ("--preset=image-glow", "rows.npy is a table")):
            with self.subTest(flag):
                self.refuse(rows, flag, text=text)
        self.refuse(text="--data: expected a file")

    def test_an_output_that_cannot_be_written(self):
        rows = f"--data={write_npy(table())}"
        self.refuse(rows, out=write_text("", "taken") / "flow" / "1", text="--out: taken is a file, not a folder")
        self.refuse(rows, out="/proc/flow/1", text="--out: flow cannot be made")

    def test_a_disk_that_fills_up(self):
        rows = f"--data={write_npy(table())}"
        self.refuse(rows, **bytes_limited(1 << 10), text="--out: 1 cannot be written to: file too large")
        self.refuse(rows, **bytes_limited(1 << 13), text="training.checkpoint cannot be written: file too large")


if __name__ == "__main__":
    if not TRAIN:
        e2e.remove_temporary_files()
        print("skipped: glowworm-train was not built, libtorch was not found")
        sys.exit(SKIPPED)
    unittest.addModuleCleanup(e2e.remove_temporary_files)
    unittest.main()
