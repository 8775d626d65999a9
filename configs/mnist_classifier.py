"""A small convolutional digit classifier.

Source: post P001, "Generative Adversarial Network (4)" (PyTorch), its MNIST CNN.
Run:    tfgan-lab train --config=mnist_classifier --data_dir=FOLDER_WITH_MNIST
Time:   half a minute on one core (180,000 steps); `:batched` a minute (5,622 steps).
As posted the batch is 1: 180,000 steps.
Variants: `:smoke` seconds, for tests; `:batched` sees 64 images a step for 6 epochs (rate
1e-3, evaluated and saved each epoch, on running statistics).
"""

from tfgan_lab.config import Adam, ClassifierConfig, Every, Init, Mnist
from tfgan_lab.layers import BatchNorm, Conv, Dense, Flatten, LeakyReLU


def get_config(variant: str = "") -> ClassifierConfig:
    # The post reads in train mode, image by image.
    norm = BatchNorm(statistics="running" if variant == "batched" else "own")
    classifier = [
        Conv(10, 5, stride=2), LeakyReLU(0.02), norm,
        Conv(10, 3, stride=2), LeakyReLU(0.02), norm,
        Flatten(), Dense(10),
    ]  # fmt: skip
    config = ClassifierConfig(
        name="mnist_classifier",
        post="P001",
        data=Mnist(train_split="train+validation", pixels="unit"),
        batch_size=1,
        epochs=3,
        classifier=classifier,
        init=Init(kernel="torch", bias="torch"),
        optimizer=Adam(learning_rate=1e-4),
        log=Every(epochs=0.02),
        log_line="",
        evaluate=Every(epochs=0.25),
        evaluate_line="training epoch {epoch} of {epochs}  test accuracy: {accuracy:.4f}",
        evaluate_print=Every(epochs=0.25),
        checkpoint=Every(epochs=0.25),
        compile="xla",
    )
    match variant:
        case "":
            return config
        case "smoke":
            config.compile = "loop"  # so few steps do not pay for compiling
            config.epochs, config.steps = 0, 20
            config.log = config.evaluate = config.checkpoint = config.evaluate_print = Every(steps=10)
        case "batched":
            config.batch_size, config.epochs = 64, 6
            config.optimizer.learning_rate = 1e-3
            config.evaluate = config.evaluate_print = config.checkpoint = Every(epochs=1)
        case _:
            raise ValueError(f"unknown variant {variant!r}: smoke, batched")
    return config
