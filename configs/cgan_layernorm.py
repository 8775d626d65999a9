"""Conditional GAN on MNIST with LayerNorm: three updates a step, one image at a time.

Source: post P001, "Generative Adversarial Network (4)" (PyTorch), its CGAN.
Run:    tfgan-lab train --config=cgan_layernorm --data_dir=FOLDER_WITH_MNIST
Time:   4 to 9 minutes of a free core (720,000 steps); `:batched` 3 minutes (75,000 steps).
As posted the batch is 1. Then `tfgan-lab sample --workdir=runs/cgan_layernorm --label=3` draws the post's 2x3 grid.
Variants: `:smoke` seconds, for tests; `:batched` sees 32 images a step for 40 epochs (rate
1e-3, logged, drawn and saved less often).
"""

from tfgan_lab.config import Adam, Every, Game, GanConfig, Init, Latents, Mnist
from tfgan_lab.layers import ConcatLabel, Dense, Flatten, LayerNorm, LeakyReLU, Reshape, Sigmoid


def get_config(variant: str = "") -> GanConfig:
    generator = [
        ConcatLabel(),
        Dense(200), LeakyReLU(0.02), LayerNorm(),
        Dense(28 * 28), Sigmoid(), Reshape(28, 28, 1),
    ]  # fmt: skip
    discriminator = [
        Flatten(), ConcatLabel(),
        Dense(200), LeakyReLU(0.02), LayerNorm(),
        Dense(1),
    ]  # fmt: skip
    init = Init(kernel="torch", bias="torch")
    config = GanConfig(
        name="cgan_layernorm",
        post="P001",
        data=Mnist(train_split="train+validation", pixels="unit"),
        num_labels=10,
        batch_size=1,
        epochs=12,
        latents=Latents(dim=100, distribution="normal"),
        generator=generator,
        discriminator=discriminator,
        g_init=init,
        d_init=init,
        g_optimizer=Adam(learning_rate=1e-4),
        d_optimizer=Adam(learning_rate=1e-4),
        game=Game(d_update="separate"),
        num_samples=100,
        sample_colormap="Blues",
        log=Every(steps=1000),
        log_line="",
        evaluate=Every(epochs=1),
        evaluate_line="epoch = {epoch}  p_real: {p_real:.4f}  p_fake: {p_fake:.4f}",
        evaluate_print=Every(epochs=1),
        sample=Every(epochs=0.25),
        metrics=Every(epochs=3),
        checkpoint=Every(epochs=0.25),
        compile="xla",
    )
    match variant:
        case "":
            return config
        case "smoke":
            config.compile = "loop"  # so few steps do not pay for compiling
            config.metrics = Every()
            config.epochs, config.steps = 0, 20
            config.log = config.evaluate = config.sample = config.checkpoint = config.evaluate_print = Every(steps=10)
        case "batched":
            config.batch_size, config.epochs = 32, 40
            config.g_optimizer.learning_rate = config.d_optimizer.learning_rate = 1e-3
            config.log = Every(epochs=0.1)
            config.sample = config.checkpoint = Every(epochs=1)
        case _:
            raise ValueError(f"unknown variant {variant!r}: smoke, batched")
    return config
