"""The CGAN paper itself on MNIST: two-branch ReLU generator, maxout discriminator, SGD with its schedule.

Source: Mirza & Osindero, 2014, section 4.1, as post P003 describes it ("paper"; nobody builds the maxout, it says).
Run:    tfgan-lab train --config=cgan_maxout --data_dir=FOLDER_WITH_MNIST
Time:   an hour on one core (60,000 steps).
The paper fixes widths, pieces, dropout 0.5, batch 100, rate 0.1 / 1.00004 a step down to 1e-6, momentum 0.5 to 0.7. It
leaves open, and we chose: start values (normals with std 0.03 in G and 0.003 in D), how fast momentum rises (over 250
epochs), the epochs.
Variants: `:smoke` seconds, for tests; `:adam` is the same game with Adam (2e-4, beta_1 0.5), which learns faster.
"""

from tfgan_lab.config import SGD, Adam, Every, Game, GanConfig, Init, Latents, Mnist
from tfgan_lab.layers import Dense, Dropout, Flatten, Join, Maxout, ReLU, Reshape, Sigmoid


def get_config(variant: str = "") -> GanConfig:
    generator = [
        Join([Dense(200), ReLU(), Dropout(0.5)], label=[Dense(1000), ReLU(), Dropout(0.5)]),
        Dense(1200), ReLU(), Dropout(0.5),
        Dense(28 * 28), Sigmoid(), Reshape(28, 28, 1),
    ]  # fmt: skip
    discriminator = [
        Flatten(),
        Join([Maxout(240, pieces=5), Dropout(0.5)], label=[Maxout(50, pieces=5), Dropout(0.5)]),
        Maxout(240, pieces=4), Dropout(0.5),
        Dense(1),
    ]  # fmt: skip
    schedule = SGD(
        learning_rate=0.1,
        decay=1.00004,
        min_learning_rate=1e-6,
        momentum=0.5,
        final_momentum=0.7,
        momentum_steps=250 * 600,
    )
    config = GanConfig(
        name="cgan_maxout",
        post="P003",
        data=Mnist(train_split="train+validation", pixels="unit"),
        num_labels=10,
        onednn=True,
        batch_size=100,
        epochs=100,
        latents=Latents(dim=100, distribution="unit_uniform"),
        generator=generator,
        discriminator=discriminator,
        g_init=Init(kernel="normal", std=0.03, bias="zeros"),
        # A discriminator that starts as confident as the generator wins for good within an epoch.
        d_init=Init(kernel="normal", std=0.003, bias="zeros"),
        g_optimizer=schedule,
        d_optimizer=schedule,
        game=Game(first="generator", fakes="shared", d_loss="half_sum"),
        num_samples=100,
        log=Every(steps=100),
        log_line="Train Epoch: [{epoch}/{epochs}]  Step: [{step_in_epoch}/{steps_per_epoch}]"
        "  G loss: {g_loss:.5f}  D loss: {d_loss:.5f}",
        evaluate=Every(epochs=1),
        sample=Every(epochs=1),
        metrics=Every(epochs=20),
        checkpoint=Every(epochs=1),
    )
    match variant:
        case "":
            return config
        case "smoke":
            config.metrics = Every()
            config.batch_size, config.epochs, config.steps = 50, 0, 20
            config.log = config.evaluate = config.sample = config.checkpoint = Every(steps=10)
        case "adam":
            config.g_optimizer = config.d_optimizer = Adam(learning_rate=2e-4, beta_1=0.5)
        case _:
            raise ValueError(f"unknown variant {variant!r}: smoke, adam")
    return config
