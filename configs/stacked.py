"""A DCGAN on stacked MNIST, three random digits as the colours of one image: 1,000 modes to lose.

Source: Lin et al., "PacGAN", 2018, section 4.2, its DCGAN without packing (numbers of the authors' code for the
experiment of Srivastava et al., "VEEGAN", 2017).
Run:    tfgan-lab train --config=stacked --data_dir=FOLDER_WITH_MNIST, then tfgan-lab evaluate (26,000 samples)
Time:   38 hours on one core (100,000 steps): work for a GPU, or for `:filters=16`.
Of the code: 64 to 512 filters in four layers, latents U(-1, 1) of 100, 128,000 images drawn once, batch 64, Adam 2e-4
with beta_1 0.5, two updates of G a step, 50 epochs. `:pack=2` is PacDCGAN2, whose D judges two images at once: 64 pairs
a step, of 128,000 pairs.
Not of it: our layers pad alike on all sides, so kernels are 5 in D, and 4 or 5 in G where its are 5; the images are of
training digits alone (its are of all 70,000), weights start at N(0, 0.02) without truncation.
Variants: `:smoke` seconds, for tests.
`:filters=16` sets the first layer's filters, 64 in the code; with packs `:filters=16,pack=2`.
"""

from tfgan_lab.config import Adam, Every, Game, GanConfig, Init, Latents, Stacked
from tfgan_lab.layers import BatchNorm, Conv, ConvTranspose, Dense, Flatten, LeakyReLU, ReLU, Reshape, Tanh


def get_config(variant: str = "", filters: int = 64, pack: int = 1) -> GanConfig:
    f = 2 if variant == "smoke" else filters
    generator = [
        Dense(2 * 2 * 8 * f), Reshape(2, 2, 8 * f), BatchNorm(), ReLU(),
        ConvTranspose(4 * f, 4, stride=2, padding=1), BatchNorm(), ReLU(),  # [B, 4, 4, 256]
        ConvTranspose(2 * f, 5, stride=2, padding=2), BatchNorm(), ReLU(),  # [B, 7, 7, 128]
        ConvTranspose(f, 4, stride=2, padding=1), BatchNorm(), ReLU(),  # [B, 14, 14, 64]
        ConvTranspose(3, 4, stride=2, padding=1), Tanh(),  # [B, 28, 28, 3]
    ]  # fmt: skip
    discriminator = [
        Conv(f, 5, stride=2, padding=2), LeakyReLU(0.2),  # [B, 14, 14, 64]
        Conv(2 * f, 5, stride=2, padding=2), BatchNorm(), LeakyReLU(0.2),  # [B, 7, 7, 128]
        Conv(4 * f, 5, stride=2, padding=2), BatchNorm(), LeakyReLU(0.2),  # [B, 4, 4, 256]
        Conv(8 * f, 5, stride=2, padding=2), BatchNorm(), LeakyReLU(0.2),  # [B, 2, 2, 512]
        Flatten(), Dense(1),
    ]  # fmt: skip
    init = Init(kernel="normal", std=0.02, bias="zeros")
    config = GanConfig(
        name="stacked",
        post="-",
        data=Stacked(num=128_000 * pack, test_num=10_000, train_split="train+validation", pixels="tanh"),
        batch_size=64 * pack,
        epochs=50,
        latents=Latents(dim=100, distribution="uniform"),
        generator=generator,
        discriminator=discriminator,
        g_init=init,
        d_init=init,
        g_optimizer=Adam(learning_rate=2e-4, beta_1=0.5),
        d_optimizer=Adam(learning_rate=2e-4, beta_1=0.5),
        game=Game(loss="non_saturating", g_steps=2, pack=pack),
        num_samples=64,
        onednn=True,
        log=Every(epochs=0.1),
        log_line="epoch {epoch}/{epochs}  {step_in_epoch}/{steps_per_epoch}  D {d_loss_mean:.4f}  G {g_loss_mean:.4f}",
        evaluate=Every(epochs=1),
        sample=Every(epochs=1),
        checkpoint=Every(epochs=0.5),
    )
    match variant:
        case "":
            return config
        case "smoke":
            config.data = Stacked(num=1000, test_num=1000)
            config.batch_size, config.epochs, config.steps = 8, 0, 20
            config.log = config.evaluate = config.sample = config.checkpoint = Every(steps=10)
        case _:
            raise ValueError(f"unknown variant {variant!r}: smoke")
    return config
