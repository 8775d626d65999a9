"""The default run: an MLP GAN with what post P002's tips recommend, on 5,000 digits that need no download.

Source: post P002, "Learning GAN", its tips (leaky ReLU, tanh, losses on logits, label smoothing, label flip, batch
norm); not a faithful config: `mlp_gan_smoothed` is.
Run:    tfgan-lab train
Time:   2 minutes on one core (12,000 steps).
Variants: `:smoke` seconds, for tests.
"""

from tfgan_lab.config import Adam, Every, Game, GanConfig, Init, Latents, Mnist
from tfgan_lab.layers import BatchNorm, Dense, Dropout, Flatten, LeakyReLU, Reshape, Tanh


def get_config(variant: str = "") -> GanConfig:
    narrow, wide = (16, 16) if variant == "smoke" else (256, 512)
    generator = [
        Dense(narrow), BatchNorm(), LeakyReLU(0.2),
        Dense(wide), BatchNorm(), LeakyReLU(0.2),
        Dense(28 * 28), Tanh(), Reshape(28, 28, 1),
    ]  # fmt: skip
    discriminator = [
        Flatten(),
        Dense(wide), LeakyReLU(0.2), Dropout(0.3),
        Dense(narrow), LeakyReLU(0.2), Dropout(0.3),
        Dense(1),
    ]  # fmt: skip
    init = Init(kernel="glorot_uniform", bias="zeros")
    config = GanConfig(
        name="first_gan",
        post="P002",
        data=Mnist(train_split="train+validation", pixels="tanh"),
        batch_size=64,
        steps=12_000,
        latents=Latents(dim=64, distribution="normal"),
        generator=generator,
        discriminator=discriminator,
        g_init=init,
        d_init=init,
        g_optimizer=Adam(learning_rate=2e-4, beta_1=0.5),
        d_optimizer=Adam(learning_rate=2e-4, beta_1=0.5),
        game=Game(smoothing=0.1),
        num_samples=64,
        log=Every(steps=500),
        log_line="step {step:>6}/{steps}  discriminator loss {d_loss_mean:.3f}  generator loss {g_loss_mean:.3f}"
        "  D(real) {p_real_mean:.2f}  D(fake) {p_fake_mean:.2f}",
        evaluate=Every(steps=500),
        sample=Every(steps=250),
        metrics=Every(steps=4000),
        checkpoint=Every(steps=1000),
    )
    match variant:
        case "":
            return config
        case "smoke":
            config.metrics = Every()
            config.batch_size, config.steps = 50, 20
            config.log = config.evaluate = config.sample = config.checkpoint = Every(steps=10)
        case _:
            raise ValueError(f"unknown variant {variant!r}: smoke")
    return config
