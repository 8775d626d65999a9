"""MLP GAN on MNIST with losses on logits and one-sided label smoothing.

Source: post P002, "Learning GAN" (TensorFlow 1); label smoothing from Salimans et al., 2016.
Run:    tfgan-lab train --config=mlp_gan_smoothed --data_dir=FOLDER_WITH_MNIST
Time:   2 to 3 minutes of a free core (55,000 steps).
Variants: `:smoke` seconds, for tests; `:batch_norm` adds what the post's tips ask for (BatchNorm everywhere but in G's
last and D's first layer, real and fake batches apart; two hidden layers, so that D has one to normalise); `:two_hidden`
has those layers without BatchNorm; `:linear_generator` has no hidden layers in G, `:linear_discriminator` none in D.
`:hidden=64` sets the width of the hidden layers.
"""

from tfgan_lab.config import Adam, Every, Game, GanConfig, Init, Latents, Mnist
from tfgan_lab.layers import BatchNorm, Dense, Flatten, LeakyReLU, Reshape, Tanh


def get_config(variant: str = "", hidden: int | None = None) -> GanConfig:
    if hidden is None:
        hidden = 16 if variant == "smoke" else 128
    init = Init(kernel="glorot_uniform", bias="zeros")
    config = GanConfig(
        name="mlp_gan_smoothed",
        post="P002",
        data=Mnist(train_split="train", pixels="tanh"),
        batch_size=100,
        epochs=100,
        latents=Latents(dim=100, distribution="uniform"),
        generator=[Dense(hidden), LeakyReLU(0.01), Dense(28 * 28), Tanh(), Reshape(28, 28, 1)],
        discriminator=[Flatten(), Dense(hidden), LeakyReLU(0.01), Dense(1)],
        g_init=init,
        d_init=init,
        g_optimizer=Adam(learning_rate=0.002, epsilon_form="tensorflow"),
        d_optimizer=Adam(learning_rate=0.002, epsilon_form="tensorflow"),
        game=Game(fakes="shared", smoothing=0.1),
        num_samples=16,
        log=Every(epochs=1),
        log_line="Epoch {epoch}/{epochs}... Discriminator Loss: {d_loss:.4f}... Generator Loss: {g_loss:.4f}",
        log_losses="after_update",
        evaluate=Every(epochs=1),
        sample=Every(epochs=1),
        metrics=Every(epochs=25),
        checkpoint=Every(epochs=1),
        compile="xla",
    )
    match variant:
        case "":
            return config
        case "smoke":
            config.compile = "loop"  # so few steps do not pay for compiling
            config.metrics = Every()
            config.batch_size, config.epochs, config.steps = 50, 0, 20
            config.log = config.evaluate = config.sample = config.checkpoint = Every(steps=10)
        case "batch_norm":
            config.generator = [
                Dense(hidden), BatchNorm(), LeakyReLU(0.01),
                Dense(hidden), BatchNorm(), LeakyReLU(0.01),
                Dense(28 * 28), Tanh(), Reshape(28, 28, 1),
            ]  # fmt: skip
            config.discriminator = [
                Flatten(),
                Dense(hidden), LeakyReLU(0.01),
                Dense(hidden), BatchNorm(), LeakyReLU(0.01),
                Dense(1),
            ]  # fmt: skip
        case "two_hidden":
            config.generator[2:2] = [Dense(hidden), LeakyReLU(0.01)]
            config.discriminator[3:3] = [Dense(hidden), LeakyReLU(0.01)]
        case "linear_generator":
            config.generator = [Dense(28 * 28), Tanh(), Reshape(28, 28, 1)]
        case "linear_discriminator":
            config.discriminator = [Flatten(), Dense(1)]
        case _:
            known = "smoke, batch_norm, two_hidden, linear_generator, linear_discriminator"
            raise ValueError(f"unknown variant {variant!r}: {known}")
    return config
