"""A GAN on points of the plane, where every mode that it loses can be seen and counted.

Source: Srivastava et al., "VEEGAN", 2017, section 5.1, of whose experiments this is the plain GAN: data, networks,
start values, Adam, batch and length as in the authors' notebook, 2,500 samples judged.
Run:    tfgan-lab train --config=plane
Time:   9 minutes on one core (100,000 steps); PacGAN's networks 1.5 hours (400,000 steps), in packs of four 2.9.
Of the notebook: G two layers of 128 ReLU units on 254 normal latents, D one of 128, both dense; Adam 1e-3, beta_1 0.5;
100 times 1,000 steps on 500 new points each. Ours: TensorFlow 2's form of Adam is that of the paper, PyTorch's.
Variants: `:ring8` is the default: 8 normals (std 0.01) on a circle of radius 1.
`:grid25` draws 25 normals (std 0.05) on a grid, from one to the next a size of 2.
`:swiss_roll` is scikit-learn's roll (std 0.25 before it is divided by 7.5: size 1 / 7.5), as Gulrajani et al., 2017.
`:checkerboard` is a board of 4 x 4 squares of size 2 without noise (std 0).
`:two_moons` is scikit-learn's two half circles of size 1 with std 0.05.
`:pac_ring8` is the plain GAN of Lin et al., "PacGAN", 2018, section 4.1, by the authors' code: networks of four layers
of 400 with BatchNorm for G and three of 200 maxout units of 5 pieces for D, which start at N(0, 0.02), 2 latents, Adam
1e-4 with beta_1 0.8, batch 100, 400 times 1,000 steps. Ours: new points at every step (theirs: 100,000, drawn once),
and D and G move one after the other (theirs: at once).
`:pac_grid25` has the same networks, start, latents, Adam, batch and steps on the 25 normals (std 0.05, size 2); with
`pack=4` behind a comma it is PacGAN4, whose D judges four points at once, 100 such packs a step.
`:smoke` seconds, for tests.
"""

from tfgan_lab.config import Adam, Every, Game, GanConfig, Init, Latents, Plane
from tfgan_lab.layers import BatchNorm, Dense, Maxout, ReLU

DATA = {
    "ring8": Plane(law="ring8", size=1.0, std=0.01),
    "grid25": Plane(law="grid25", size=2.0, std=0.05),
    "swiss_roll": Plane(law="swiss_roll", size=1 / 7.5, std=0.25 / 7.5),
    "checkerboard": Plane(law="checkerboard", size=2.0, std=0.0),
    "two_moons": Plane(law="two_moons", size=1.0, std=0.05),
}


def get_config(variant: str = "", pack: int = 1) -> GanConfig:
    law = variant.removeprefix("pac_")
    init = Init(kernel="glorot_uniform", bias="zeros")
    config = GanConfig(
        name="plane",
        post="-",
        data=DATA.get(law, DATA["ring8"]),
        batch_size=500,
        steps=100_000,
        latents=Latents(dim=254, distribution="normal"),
        generator=[Dense(128), ReLU(), Dense(128), ReLU(), Dense(2)],
        discriminator=[Dense(128), ReLU(), Dense(1)],
        g_init=init,
        d_init=init,
        g_optimizer=Adam(learning_rate=1e-3, beta_1=0.5),
        d_optimizer=Adam(learning_rate=1e-3, beta_1=0.5),
        game=Game(loss="non_saturating", pack=pack),
        num_samples=2500,
        log=Every(steps=1000),
        log_line="step {step:>6}/{steps}  losses: D {d_loss_mean:.4f}  G {g_loss_mean:.4f}",
        evaluate=Every(steps=2000),
        sample=Every(steps=2000),
        checkpoint=Every(steps=10_000),
        compile="xla",
    )
    match variant:
        case "" | "ring8" | "grid25" | "swiss_roll" | "checkerboard" | "two_moons":
            return config
        case "pac_ring8" | "pac_grid25":
            config.steps, config.batch_size, config.latents.dim = 400_000, 100 * pack, 2
            config.generator = [*(part for _ in range(4) for part in (Dense(400), BatchNorm(), ReLU())), Dense(2)]
            config.discriminator = [*(Maxout(200, pieces=5) for _ in range(3)), Dense(1)]
            config.g_init = config.d_init = Init(kernel="normal", std=0.02, bias="zeros")
            config.g_optimizer = config.d_optimizer = Adam(learning_rate=1e-4, beta_1=0.8)
        case "smoke":
            config.compile = "loop"  # so few steps do not pay for compiling
            config.steps, config.batch_size, config.num_samples = 20, 50, 200
            config.log = config.evaluate = config.sample = config.checkpoint = Every(steps=10)
        case _:
            others = "grid25, swiss_roll, checkerboard, two_moons, pac_ring8, pac_grid25"
            raise ValueError(f"unknown variant {variant!r}: smoke, {others}")
    return config
