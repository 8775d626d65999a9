"""The judge: a convolutional digit classifier whose opinions and features the metrics use.

Source: of this package, not of a post; random shifts as in LeCun et al., 1998, dropout of Srivastava et al., 2014.
Run:    tfgan-lab train --config=mnist_judge --data_dir=FOLDER_WITH_MNIST
Time:   6 minutes on one core (8,800 steps).
Here: 5.6 minutes of one core; 99.48 % of the 5,000 validation digits and 99.52 % of the 10,000 test digits right.
Its weights are shipped (tfgan_lab/evaluation/judge_mnist.npz, its facts in the .json beside it). For other data of that
shape train it there and name the run: `tfgan-lab evaluate --judge=runs/mnist_judge`.
Variants: `:smoke` seconds, for tests.
`:classes=cat+dog+fish` is a judge of your own classes, which a run on them names by its field `judge`; with
`side=64,colour=True` as of `cgan_conv`. It pads its convolutions, has 32 features and Adam's steps, 1,500 of
them. Measured: after 600 on 4,500 digits, as ten classes, it is right on 96.6 % of 500 others.
"""

from tfgan_lab.config import SGD, Adam, Classes, ClassifierConfig, Every, Init, Mnist
from tfgan_lab.layers import BatchNorm, Conv, Dense, Dropout, Flatten, ReLU


def get_config(variant: str = "", classes: str = "", side: int = 28, colour: bool = False) -> ClassifierConfig:
    if not classes and (side, colour) != (28, False):
        raise ValueError(f"side={side}, colour={colour}: both go with classes=NAME+NAME")
    names = classes.split("+")
    pad = 1 if classes else 0  # so that any side will do
    classifier = [
        Conv(24, 5, padding=2 * pad), BatchNorm(), ReLU(),
        Conv(48, 3, stride=2, padding=pad), BatchNorm(), ReLU(),
        Conv(64, 3, padding=pad), BatchNorm(), ReLU(),
        Conv(64, 3, stride=2, padding=pad), BatchNorm(), ReLU(),
        Flatten(order="hwc"), Dense(32 if classes else 64), ReLU(), Dropout(0.4),
        Dense(len(names) if classes else 10),
    ]  # fmt: skip
    config = ClassifierConfig(
        name="mnist_judge",
        post="-",
        data=Mnist(train_split="train", pixels="unit"),  # sizes were chosen on the validation split
        batch_size=100,
        epochs=16,
        classifier=classifier,
        init=Init(kernel="torch", bias="torch"),
        loss="softmax",
        shift=1,
        optimizer=SGD(learning_rate=0.1, decay=1.0007, momentum=0.9, final_momentum=0.9),
        onednn=True,
        log=Every(epochs=0.1),
        log_line="",
        evaluate=Every(epochs=4),
        evaluate_line="training epoch {epoch} of {epochs}  test accuracy: {accuracy:.4f}",
        evaluate_print=Every(epochs=4),
        checkpoint=Every(epochs=1),
    )
    if classes:
        config.data = Classes(names=names, side=side, colour=colour, pixels="unit")
        config.batch_size, config.epochs, config.steps, config.shift = 32, 0, 1500, max(1, side // 28)
        config.optimizer = Adam(learning_rate=1e-3)
        config.log = Every(steps=50)
        config.evaluate = config.evaluate_print = config.checkpoint = Every(steps=500)
    match variant:
        case "":
            return config
        case "smoke":
            config.batch_size, config.epochs, config.steps = 50, 0, 20
            config.log = config.evaluate = config.checkpoint = config.evaluate_print = Every(steps=10)
        case _:
            raise ValueError(f"unknown variant {variant!r}: smoke")
    return config
