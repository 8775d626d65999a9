"""The default run: a small conditional conv GAN, on 5,000 real digits that need no download.

Source: no post's; `cgan_conv` on less data: a small DCGAN (Radford et al., 2016, section 3), its labels as in Miyato &
Koyama, 2018 (projection, eq. 3), drawn from an average of G's weights (Karras et al., 2018, appendix A.1).
Run:    tfgan-lab train
Time:   2.5 to 4 minutes on one core (2,400 steps), under two on two.
Variants: `:smoke` seconds, for tests.
"""

from tfgan_lab.config import Adam, Every, Game, GanConfig, Init, Latents, Mnist
from tfgan_lab.layers import (
    BatchNorm,
    ConcatLabel,
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    LeakyReLU,
    Projection,
    ReLU,
    Reshape,
    Tanh,
)


def get_config(variant: str = "") -> GanConfig:
    few, many = (4, 4) if variant == "smoke" else (32, 64)
    generator = [
        ConcatLabel(),
        Dense(7 * 7 * many), ReLU(), Reshape(7, 7, many),
        ConvTranspose(few, 4, stride=2, padding=1), BatchNorm(), ReLU(),
        ConvTranspose(1, 4, stride=2, padding=1), Tanh(),
    ]  # fmt: skip
    discriminator = [
        Conv(few, 4, stride=2, padding=1), LeakyReLU(0.2),
        Conv(many, 4, stride=2, padding=1), LeakyReLU(0.2),
        Flatten(), Projection(),
    ]  # fmt: skip
    init = Init(kernel="normal", std=0.02, bias="zeros")
    config = GanConfig(
        name="first_gan",
        post="-",
        data=Mnist(source="embedded", train_split="train+validation", pixels="tanh"),
        num_labels=10,
        batch_size=64,
        steps=2400,
        latents=Latents(dim=64, distribution="normal"),
        generator=generator,
        discriminator=discriminator,
        g_init=init,
        d_init=init,
        g_optimizer=Adam(learning_rate=1e-3, beta_1=0.5),
        d_optimizer=Adam(learning_rate=1e-3, beta_1=0.5),
        game=Game(fakes="shared"),
        ema=0.999,
        num_samples=100,
        onednn=True,
        log=Every(steps=100),
        log_line="step {step:>5}/{steps}  discriminator loss {d_loss_mean:.3f}  generator loss {g_loss_mean:.3f}"
        "  D(real) {p_real_mean:.2f}  D(fake) {p_fake_mean:.2f}",
        evaluate=Every(steps=200),
        sample=Every(steps=50),
        metrics=Every(steps=800),
        checkpoint=Every(steps=400),
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
