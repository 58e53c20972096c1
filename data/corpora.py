"""One class per corpus: what it is, its input size, split, blur, chain and archives."""

from data.corpus import Assumed, Corpus, Source
from data.splits import Folders, PerFolder, Shuffled
from formats.authors import read_cat2000, read_dutomron, read_osie, read_pascals, read_salicon

DRIVE = "https://drive.google.com/uc?id="
MIT = "http://people.csail.mit.edu/tjudd/WherePeopleLook/"
OMRON = "http://saliencydetection.net/dut-omron/download/"


class SALICON(Corpus):
    """15000 natural images of MS COCO, mouse-contingent attention (Jiang et al., CVPR 2015)."""

    size = (240, 320)
    split = Folders(train=10000, valid=5000)
    sigma = Assumed(19)
    skip = ("test",)
    sources = (
        Source(
            DRIVE + "1g8j-hTT-51IG1UFwP0xTGhLdgIUCW5e5",
            {"train/*.jpg": "stimuli/train/", "val/*.jpg": "stimuli/val/"},
            name="images.zip",
            md5="eb2a1bb706633d1b31fc2e01422c5757",
        ),
        Source(
            DRIVE + "1P-jeZXCsjoKO79OhFUgnj6FGcyvmLDPj",
            {"train/*.mat": "fixations/train/", "val/*.mat": "fixations/val/"},
            name="fixations.zip",
            md5="462b70f4f9e8ea446ac628e46cea8d3d",
            read=read_salicon,
        ),
        Source(
            DRIVE + "1PnO7szbdub1559LfjYHMy65EDC4VhJC8",
            {"train/*.png": "saliency/train/", "val/*.png": "saliency/val/"},
            name="maps.zip",
        ),
    )


class MIT1003(Corpus):
    """1003 natural images seen by 15 observers for 3 s (Judd et al., ICCV 2009)."""

    size = (360, 360)
    split = Shuffled(train=803, valid=200)
    sigma = Assumed(35)  # commonly quoted, not verified
    initial = "salicon"
    sources = (
        Source(
            MIT + "ALLSTIMULI.zip", {"*.jpeg": "stimuli/"}, md5="0d7df8b954ecba69b6796e77b9afe4b6"
        ),
        Source(
            MIT + "ALLFIXATIONMAPS.zip", {"*_fixMap.jpg": "saliency/", "*_fixPts.jpg": "fixations/"}
        ),
    )


class CAT2000(Corpus):
    """2000 images in 20 categories of 100 (Borji & Itti, 2015)."""

    size = (216, 384)
    split = PerFolder(train=1600, valid=400)
    sigma = 40
    initial = "salicon"
    skip = ("Output", "allFixData.mat")
    sources = (
        Source(
            "http://saliency.mit.edu/trainSet.zip",
            {
                "Stimuli/*/*.jpg": "stimuli/",
                "FIXATIONLOCS/*/*.mat": "fixations/",
                "FIXATIONMAPS/*/*.jpg": "saliency/",
            },
            md5="56ad5c77e6c8f72ed9ef2901628d6e48",
            read=read_cat2000,
        ),
    )


class DUTOMRON(Corpus):
    """5168 natural images with eye fixations (Yang et al., CVPR 2013)."""

    size = (360, 360)
    split = Shuffled(train=4168, valid=1000)
    sigma = 16
    initial = "salicon"
    sources = (
        Source(
            OMRON + "DUT-OMRON-image.zip",
            {"DUT-OMRON-image/*.jpg": "stimuli/"},
            md5="a8951db9297afacf78bc0e5079103cf1",
        ),
        Source(
            OMRON + "DUT-OMRON-eye-fixations.zip",
            {"mat/*.mat": "fixations/"},
            md5="d9f4f83fcc78b1e5efb579ae9fb0edc2",
            read=read_dutomron,
        ),
    )


class PASCALS(Corpus):
    """850 images of PASCAL VOC with eye fixations (Li et al., CVPR 2014)."""

    size = (360, 360)
    split = Shuffled(train=650, valid=200)
    sigma = Assumed(20)
    initial = "salicon"
    sources = (
        Source(
            "http://cbs.ic.gatech.edu/salobj/download/salObj.zip",
            {"imgs/pascal/*.jpg": "stimuli/", "fixations/pascalFix.mat": "fixations/"},
            md5="e48b4e5deac08bddcaec55ce56e4d420",
            read=read_pascals,
        ),
    )


class OSIE(Corpus):
    """700 scenes of objects seen by 15 observers (Xu et al., Journal of Vision 2014)."""

    size = (240, 320)
    split = Shuffled(train=500, valid=200)
    sigma = 24
    initial = "salicon"
    sources = (
        Source(
            "https://github.com/NUS-VIP/predicting-human-gaze-beyond-pixels/archive/master.zip",
            {"stimuli/*.jpg": "stimuli/", "eye/fixations.mat": "fixations/"},
            members={"fixations/fixations.mat": "8efdf6fe66f38b6e70f854c7ff45aa70"},
            read=read_osie,
        ),
    )


class FIWI(Corpus):
    """149 web pages with eye fixations (Shen & Zhao, ECCV 2014)."""

    size = (216, 384)
    split = Shuffled(train=99, valid=50)
    sigma = 30
    initial = "salicon"
    sources = (
        Source(
            "https://www.dropbox.com/s/30nxg2uwd1wpb80/webpage_dataset.zip?dl=1",
            {"stimuli/*.png": "stimuli/", "all5/*.png": "fixations/"},
            name="webpage_dataset.zip",
        ),
    )


class FIXATIONADD1000(Corpus):
    """1000 advertisements seen by 57 observers (Liang, Liu & Qian, JVCIR 2021)."""

    size = (360, 360)
    split = Shuffled(train=800, valid=200)
    sigma = Assumed(24)
    initial = "salicon"
    sources = (
        Source(
            None,
            {"stimuli/*.jpg": "stimuli/", "fixation/*.png": "fixations/"},
            name="fixation_add1000.tar.gz",
        ),
    )
