"""The bundled flows: each has a card that tells of the very file beside it, and what the card says of the demo's rows is
what the server answers."""
import csv
import re
import unittest

import glowworm_e2e as e2e

np = e2e.np
REPOSITORY = e2e.SOURCE / "deploy" / "repository"
DEMO = e2e.SOURCE / "deploy" / "demo"


def card(name):
    return (REPOSITORY / name / "README.md").read_text()


def spec(name):
    raw = (REPOSITORY / name / "1" / "flow.safetensors").read_bytes()
    size = int.from_bytes(raw[:8], "little")
    return e2e.json.loads(e2e.json.loads(raw[8:8 + size])["__metadata__"]["glowworm.flow"])


class BundledTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = e2e.Server(None)  # the bundled repository
        cls.addClassCleanup(cls.server.stop)
        cls.names = sorted(folder.name for folder in REPOSITORY.iterdir())

    def test_every_flow_is_served(self):
        models = self.server.stub().ListModels(e2e.pb.ListModelsRequest(), timeout=10).models
        self.assertEqual([(m.ref.name, m.state) for m in models], [(n, e2e.pb.MODEL_STATE_READY) for n in self.names])

    def test_every_card_tells_of_the_file_beside_it(self):
        for name in self.names:
            with self.subTest(name):
                size = (REPOSITORY / name / "1" / "flow.safetensors").stat().st_size
                self.assertIn(f"{size:,} bytes", card(name))
                self.assertIn(spec(name)["description"], card(name))
                provenance = spec(name)["provenance"]
                self.assertIn(provenance["data"], card(name))
                if "flags" in provenance:
                    self.assertIn(f"{float(provenance['test_log_likelihood']):.3f} ±", card(name))
                    self.assertIn(provenance["data_sha256"], card(name))
                    self.assertIn(provenance["flags"], card(name).replace("\n", " "))
                for heading in ("## Data", "## Use"):
                    self.assertIn(heading, card(name))

    def test_every_picture_of_a_card_is_there(self):
        for name in self.names:
            for picture in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", card(name)):
                self.assertEqual((REPOSITORY / name / picture).read_bytes()[:4], b"\x89PNG", picture)

    def test_the_demos_malignant_rows_rank_as_the_card_says(self):
        with open(DEMO / "breast-cancer.csv", newline="") as file:
            names, *rows = csv.reader(file)
        self.assertEqual(names[:-1], spec("breast-cancer")["provenance"]["columns"].split(","))
        x = np.array([row[:-1] for row in rows], "f8")
        malignant = np.array([row[-1] == "malignant" for row in rows])
        request = e2e.pb.LogLikelihoodRequest(model=e2e.pb.ModelRef(name="breast-cancer"), x=e2e.tensor(x))
        log_p = np.array(self.server.stub().LogLikelihood(request, timeout=30).log_likelihood)
        auroc = (log_p[malignant][:, None] < log_p[~malignant]).mean()
        stated = float(re.search(r"AUROC of -log p for malignant rows \| ([\d.]+) \|", card("breast-cancer"))[1])
        self.assertLessEqual(abs(auroc - stated), 0.0005 + 1 / (malignant.sum() * (~malignant).sum()))
        self.assertGreater(auroc, 0.9)  # the flow is of use


if __name__ == "__main__":
    unittest.addModuleCleanup(e2e.remove_temporary_files)
    unittest.main()
