"""DCGAN on 128x128 centre-cropped montage faces.

Source: post P001, "Generative Adversarial Network (4)" (PyTorch), its montage DCGAN.
Run:    tfgan-lab train --config=dcgan_montage:small                      (faces that the package draws itself)
        tfgan-lab train --config=dcgan_montage --data_dir=montage.h5      (the post's file; a GPU is advised)
Time:   `:small` 11 minutes of one free core (3,720 steps); as posted hours, for a GPU.
As posted: batch 1, 256 filters of 8x8, BatchNorm over each batch of one, three updates a step.
Variants: `:smoke` seconds, for tests; `:leaky_relu` is the post's commented-out activation; `:bfloat16` is as posted at
another precision: it multiplies in bfloat16, nearly twice as fast on a CPU that has it (`tfgan-lab doctor` says) and
slower on others; `:small`, for two cores, has 64x64 pixels, batch 32, 60 epochs, four layers of 4x4 kernels, no norm
before G's output, leaky ReLU in D, starts from N(0, 0.02) with zero biases, Adam 2e-4 (0.5), draws on running
statistics, and is logged, drawn and saved less often.
"""

from tfgan_lab.config import Adam, Every, Game, GanConfig, Init, Latents, Montage
from tfgan_lab.layers import GELU, BatchNorm, Conv, ConvTranspose, Dense, Flatten, LeakyReLU, Reshape, Sigmoid


def get_config(variant: str = "") -> GanConfig:
    filters = 4 if variant == "smoke" else 256
    unit = LeakyReLU(0.2) if variant == "leaky_relu" else GELU()
    norm = BatchNorm(statistics="own")  # the post draws in train mode, image by image
    generator = [
        Dense(3 * 11 * 11), unit, Reshape(11, 11, 3),
        ConvTranspose(filters, 8, stride=2), norm, unit,
        ConvTranspose(filters, 8, stride=2), norm, unit,
        ConvTranspose(3, 8, stride=2, padding=1), norm, Sigmoid(),
    ]  # fmt: skip
    discriminator = [
        Conv(filters, 8, stride=2), norm, unit,
        Conv(filters, 8, stride=2), norm, unit,
        Conv(3, 8, stride=2), unit,
        Flatten(), Dense(1),
    ]  # fmt: skip
    init = Init(kernel="torch", bias="torch")
    config = GanConfig(
        name="dcgan_montage",
        post="P001",
        data=Montage(crop=128, size=128, pixels="unit"),
        onednn=True,
        batch_size=1,
        epochs=10,
        latents=Latents(dim=100, distribution="normal"),
        generator=generator,
        discriminator=discriminator,
        g_init=init,
        d_init=init,
        g_optimizer=Adam(learning_rate=1e-4),
        d_optimizer=Adam(learning_rate=1e-4),
        game=Game(d_update="separate"),
        num_samples=36,
        log=Every(steps=100),
        log_line="step {step}/{steps}  D loss: {d_loss_mean:.4f}  G loss: {g_loss_mean:.4f}",
        sample=Every(epochs=0.25),
        checkpoint=Every(epochs=0.25),
    )
    match variant:
        case "" | "leaky_relu":
            return config
        case "smoke":
            config.epochs, config.steps, config.batch_size = 0, 4, 2
            config.data.num_faces = 16
            config.num_samples = 4
            config.log = config.evaluate = config.sample = config.checkpoint = Every(steps=2)
        case "bfloat16":
            config.precision = "bfloat16"
        case "small":
            _make_small(config)
        case _:
            raise ValueError(f"unknown variant {variant!r}: smoke, small, leaky_relu, bfloat16")
    return config


def _make_small(config: GanConfig) -> None:
    """64x64, kernels of 4 with padding 1 (sizes 4-8-16-32-64), batches, and the DCGAN paper's Adam."""
    config.data = Montage(crop=128, size=64, pixels="unit")
    config.batch_size, config.epochs = 32, 60
    config.g_init = config.d_init = Init(kernel="normal", std=0.02, bias="zeros")
    config.generator = [
        Dense(128 * 4 * 4), GELU(), Reshape(4, 4, 128),
        ConvTranspose(96, 4, stride=2, padding=1), BatchNorm(), GELU(),
        ConvTranspose(64, 4, stride=2, padding=1), BatchNorm(), GELU(),
        ConvTranspose(32, 4, stride=2, padding=1), BatchNorm(), GELU(),
        ConvTranspose(3, 4, stride=2, padding=1), Sigmoid(),
    ]  # fmt: skip
    config.discriminator = [
        Conv(32, 4, stride=2, padding=1), BatchNorm(), LeakyReLU(0.2),
        Conv(64, 4, stride=2, padding=1), BatchNorm(), LeakyReLU(0.2),
        Conv(96, 4, stride=2, padding=1), BatchNorm(), LeakyReLU(0.2),
        Conv(16, 4, stride=2, padding=1), LeakyReLU(0.2),
        Flatten(), Dense(1),
    ]  # fmt: skip
    config.g_optimizer = Adam(learning_rate=2e-4, beta_1=0.5)
    config.d_optimizer = Adam(learning_rate=2e-4, beta_1=0.5)
    config.log, config.sample, config.checkpoint = Every(epochs=1), Every(epochs=1), Every(epochs=2)
