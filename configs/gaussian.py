"""A GAN that learns a 1-D normal distribution, 100 numbers being one example.

Source: post P004, "1D Gaussian Distribution Generation" (PyTorch).
Run:    tfgan-lab train --config=gaussian
Time:   half a minute on one core (2,400 steps).
Other targets: --config.data.mean=-2 --config.data.std=0.5 --workdir=runs/narrow. The post's result depends on the
seed: try --config.seed=1 --workdir=runs/seed1.
Variants: `:smoke` seconds, for tests; `:raw` shows D the numbers alone; `:bimodal` is the hard case, two normals
(std 0.5, 2 to either side of 4) and 12,000 steps, drawn and saved less often.
`:hidden=20` sets the width of the hidden layers.
"""

from tfgan_lab.config import Adam, Every, Game, GanConfig, Gaussian, Init, Latents
from tfgan_lab.layers import ELU, AppendDeviations, Dense, Sets, Sigmoid


def get_config(variant: str = "", hidden: int = 50) -> GanConfig:
    generator = [Dense(hidden), ELU(), Dense(hidden), Sigmoid(), Dense(1)]
    discriminator = [
        Sets(100), AppendDeviations(exponent=2.0),
        Dense(hidden), ELU(),
        Dense(hidden), ELU(),
        Dense(1),
    ]  # fmt: skip
    init = Init(kernel="torch", bias="torch")
    config = GanConfig(
        name="gaussian",
        post="P004",
        data=Gaussian(mean=4.0, std=1.25),
        batch_size=100,
        steps=2400,
        latents=Latents(dim=1, distribution="unit_uniform"),
        generator=generator,
        discriminator=discriminator,
        g_init=init,
        d_init=init,
        g_optimizer=Adam(learning_rate=2e-4),
        d_optimizer=Adam(learning_rate=2e-4),
        game=Game(d_steps=1, g_steps=1, fresh_real=True),
        num_samples=10_000,
        log=Every(steps=100),
        log_line="{step}: D: {d_real:.4f}/{d_fake:.4f} G: {g_loss:.4f} "
        "(Real: [{real_mean:.4f}, {real_std:.4f}], Fake: [{fake_mean:.4f}, {fake_std:.4f}])",
        evaluate=Every(steps=100),
        sample=Every(steps=100),
        moments=Every(steps=10),
        checkpoint=Every(steps=400),
        compile="xla",
    )
    match variant:
        case "":
            return config
        case "smoke":
            config.compile = "loop"  # so few steps do not pay for compiling
            config.steps, config.num_samples = 20, 500
            config.log = config.evaluate = config.sample = config.checkpoint = Every(steps=10)
        case "raw":
            config.discriminator.remove(AppendDeviations(exponent=2.0))
        case "bimodal":
            config.data = Gaussian(mean=4.0, std=0.5, target="bimodal", separation=2.0)
            config.steps = 12_000
            config.sample, config.checkpoint = Every(steps=500), Every(steps=2000)
        case _:
            raise ValueError(f"unknown variant {variant!r}: smoke, raw, bimodal")
    return config
