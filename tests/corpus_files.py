"""Small corpora as their authors ship them: what is in each archive, the archives, a server.

Each maker writes a folder for each archive, called as the archive, with what is in it, and
returns the fixations that a person reads off the files: stimulus -> [(x, y), ...].
"""

import shutil
import tarfile
import threading
import zipfile
from collections.abc import Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from authors_files import (
    cat2000_mat,
    dutomron_mat,
    osie_mat,
    pascals_mat,
    points_picture,
    salicon_mat,
)
from PIL import Image

SIZE = (40, 32)  # width, height
STRAY = "i05june05_static_street_boston_p1010764fixPts.jpg"


def picture(path: Path, size: tuple[int, int] = SIZE, level: int = 120) -> Path:
    """A picture in the format of its ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (level, 60, 30)).save(path)
    return path


def blurred(path: Path, size: tuple[int, int] = SIZE) -> Path:
    """A blurred map: a broad slope of many grey levels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    slope = np.add.outer(np.linspace(20, 120, height), np.linspace(0, 100, width))
    Image.fromarray(np.uint8(slope)).save(path)
    return path


def salicon(folder: Path):
    for name in ("train/COCO_train_1", "train/COCO_train_2", "val/COCO_val_3", "test/COCO_4"):
        picture(folder / "images.zip" / "images" / f"{name}.jpg")
    for name in ("train/COCO_train_1", "train/COCO_train_2", "val/COCO_val_3"):
        salicon_mat(folder / "fixations.zip" / f"{name}.mat", [[(1, 1), (5.5, 9)], [(5.5, 9)]])
        blurred(folder / "maps.zip" / f"{name}.png")
    points = [(0, 0), (4.5, 8), (4.5, 8)]
    names = ("train/COCO_train_1.jpg", "train/COCO_train_2.jpg", "val/COCO_val_3.jpg")
    return dict.fromkeys(names, points)


def mit1003(folder: Path):
    stimuli = folder / "ALLSTIMULI.zip" / "ALLSTIMULI"
    maps = folder / "ALLFIXATIONMAPS.zip" / "ALLFIXATIONMAPS"
    for name in ("i05june05_static_street_boston_p1010764", "i1", "i2"):
        picture(stimuli / f"{name}.jpeg")
        blurred(maps / f"{name}_fixMap.jpg")
        points_picture(maps / f"{name}_fixPts.jpg", [(3, 4), (30, 20)], SIZE)
    points_picture(maps / STRAY, [(9, 9)], SIZE)
    points = [(3.5, 4.5), (30.5, 20.5)]
    names = ("i05june05_static_street_boston_p1010764.jpeg", "i1.jpeg", "i2.jpeg")
    return dict.fromkeys(names, points)


def cat2000(folder: Path):
    root = folder / "trainSet.zip" / "trainSet"
    counts = np.zeros(SIZE[::-1])
    counts[2, 7], counts[31, 39] = 1, 3
    for category in ("Action", "Art"):
        for number in ("001", "002"):
            picture(root / "Stimuli" / category / f"{number}.jpg")
            picture(root / "Stimuli" / category / "Output" / f"{number}_SaliencyMap.jpg")
            cat2000_mat(root / "FIXATIONLOCS" / category / f"{number}.mat", counts)
            blurred(root / "FIXATIONMAPS" / category / f"{number}.jpg")
            blurred(root / "FIXATIONMAPS" / category / "Output" / f"{number}_SaliencyMap.jpg")
        (root / "FIXATIONLOCS" / category / "allFixData.mat").write_bytes(b"")
    (root / "allFixData.mat").write_bytes(b"")
    points = [(7.5, 2.5)] + [(39.5, 31.5)] * 3
    names = ("Action/001.jpg", "Action/002.jpg", "Art/001.jpg", "Art/002.jpg")
    return dict.fromkeys(names, points)


def dutomron(folder: Path):
    images = folder / "DUT-OMRON-image.zip" / "DUT-OMRON-image"
    records = folder / "DUT-OMRON-eye-fixations.zip" / "DUT-OMRON-eye-fixations" / "mat"
    for name in ("im005", "sun_a"):
        picture(images / f"{name}.jpg")
        (images / f"._{name}.jpg").write_bytes(b"of a Macintosh")
        dutomron_mat(records / f"{name}.mat", [(0, 31, 1), (7, 8, 1), (7, 8, 2)], SIZE)
    return dict.fromkeys(("im005.jpg", "sun_a.jpg"), [(0, 31), (7, 8), (7, 8)])


def pascals(folder: Path):
    root = folder / "salObj.zip" / "datasets"
    for number in (1, 2, 10):
        picture(root / "imgs" / "pascal" / f"{number}.jpg")
        picture(root / "imgs" / "bruce" / f"{number}.jpg")
    cells = [[(1, 2, 1), (1, 2, 2)], [(32, 40, 1)], *[[] for _ in range(7)], [(5, 6, 8)]]
    pascals_mat(root / "fixations" / "pascalFix.mat", cells)
    (root / "fixations" / "pascalSize.mat").write_bytes(b"")
    return {"1.jpg": [(1, 0), (1, 0)], "2.jpg": [(39, 31)], "10.jpg": [(5, 4)]}


def osie(folder: Path):
    root = folder / "master.zip" / "predicting-human-gaze-beyond-pixels-master" / "data"
    seen = [([(3.25, 4.75), (3.25, 4.75)], [200, 300]), ([(39.5, 0)], [150])]
    for number in (1001, 1002, 1003):
        picture(root / "stimuli" / f"{number}.jpg")
        (root / "mouse_amt").mkdir(exist_ok=True)
        (root / "mouse_amt" / f"{number}.mat").write_bytes(b"not of eyes")
    names = ("1001.jpg", "1002.jpg", "1003.jpg")
    osie_mat(root / "eye" / "fixations.mat", dict.fromkeys(names, seen))
    return dict.fromkeys(names, [(3.25, 4.75), (3.25, 4.75), (39.5, 0)])


def fiwi(folder: Path):
    root = folder / "webpage_dataset.zip" / "webpage_dataset"
    for name in ("text_1", "mixed_2"):
        picture(root / "stimuli" / f"{name}.png")
        points_picture(root / "fixation" / "all1" / f"{name}.png", [(0, 0)], SIZE)
        points_picture(root / "fixation" / "all5" / f"{name}.png", [(3, 4), (39, 31)], SIZE)
    return dict.fromkeys(("text_1.png", "mixed_2.png"), [(3.5, 4.5), (39.5, 31.5)])


def fixationadd1000(folder: Path):
    root = folder / "fixation_add1000.tar.gz"
    for number in (1, 2, 10):
        picture(root / "stimuli" / f"{number}.jpg")
        points_picture(root / "fixation" / f"{number}.png", [(3, 4), (39, 31)], SIZE)
    return dict.fromkeys(("1.jpg", "2.jpg", "10.jpg"), [(3.5, 4.5), (39.5, 31.5)])


MAKERS = {
    maker.__name__: maker
    for maker in (salicon, mit1003, cat2000, dutomron, pascals, osie, fiwi, fixationadd1000)
}
MAPS = {"salicon", "mit1003"}  # whose shipped maps are better than a blur by an assumed sigma


def pack(made: Path, served: Path) -> Path:
    """The archives of what a maker made: a zip or a .tar.gz, as their names say."""
    served.mkdir(parents=True)
    for folder in made.iterdir():
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        if folder.name.endswith(".zip"):
            with zipfile.ZipFile(served / folder.name, "w") as archive:
                for path in files:
                    archive.write(path, path.relative_to(folder))
        else:
            with tarfile.open(served / folder.name, "w:gz") as archive:
                for path in files:
                    archive.add(path, path.relative_to(folder))
    return served


def unpack_here(made: Path, corpus: Path) -> None:
    """As `unzip` leaves the archives that lay in the corpus' folder."""
    for folder in made.iterdir():
        shutil.copytree(folder, corpus, dirs_exist_ok=True)


def unpack_apart(made: Path, corpus: Path) -> None:
    """As file managers unpack: each archive into a folder of its name."""
    for folder in made.iterdir():
        shutil.copytree(folder, corpus / folder.name.partition(".")[0])


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@contextmanager
def served(folder: Path):
    """The address of a server of a folder's files."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def points(samples: Sequence) -> dict[str, list[tuple[float, float]]]:
    """Each sample's points, sorted."""
    return {s.name: sorted(map(tuple, s.points.tolist())) for s in samples}
