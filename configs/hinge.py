"""GAN with the hinge loss, on MNIST.

Source: no post's; Lim & Ye, 2017, and Miyato et al., 2018, equations 16 and 17.
Run:    tfgan-lab train --config=hinge --data_dir=FOLDER_WITH_MNIST
Time:   6 minutes on one core (20,000 steps).
Variants: `:conv` plays on the networks of `cgan_conv`, with their start values, latents, labels, samples and oneDNN,
5,000 steps, measured every 1,000. `:smoke` seconds, for tests.

Of Miyato et al.: the loss, 5 updates of D, Adam at 2e-4 with betas 0 and 0.9, batches of 64. Not of them: spectral
normalisation; D is free.
Ours: the MLPs of `mlp_gan`, without their dropout, so that D is one function; and the length.
"""

from tfgan_lab.config import Adam, Every, Game, GanConfig, Init, Latents, Mnist
from tfgan_lab.config_files import on_networks_of
from tfgan_lab.layers import Dense, Flatten, LeakyReLU, ReLU, Reshape, Tanh


def get_config(variant: str = "") -> GanConfig:
    hidden = 16 if variant == "smoke" else 256
    generator = [Dense(hidden), ReLU(), Dense(hidden), ReLU(), Dense(28 * 28), Tanh(), Reshape(28, 28, 1)]
    discriminator = [Flatten(), Dense(hidden), LeakyReLU(0.01), Dense(hidden), LeakyReLU(0.01), Dense(1)]
    init = Init(kernel="xavier_normal", bias="uniform", bias_low=0.1, bias_high=0.2)
    config = GanConfig(
        name="hinge",
        post="-",
        data=Mnist(train_split="train+validation", pixels="tanh"),
        batch_size=64,
        steps=20_000,
        latents=Latents(dim=100, distribution="normal"),
        generator=generator,
        discriminator=discriminator,
        g_init=init,
        d_init=init,
        g_optimizer=Adam(learning_rate=2e-4, beta_1=0.0, beta_2=0.9),
        d_optimizer=Adam(learning_rate=2e-4, beta_1=0.0, beta_2=0.9),
        game=Game(loss="hinge", d_steps=5, fresh_real=True),
        num_samples=64,
        log=Every(steps=500),
        log_line="step {step:>6}/{steps}  losses: D {d_loss_mean:.4f}  G {g_loss_mean:.4f}",
        evaluate=Every(steps=2000),
        sample=Every(steps=500),
        metrics=Every(steps=5000),
        checkpoint=Every(steps=2000),
    )
    match variant:
        case "":
            return config
        case "conv":
            config = on_networks_of("cgan_conv", config)
            config.steps, config.metrics = 5000, Every(steps=1000)
            return config
        case "smoke":
            config.batch_size, config.steps = 50, 20
            config.log = config.evaluate = config.sample = config.checkpoint = Every(steps=10)
            config.metrics = Every()
        case _:
            raise ValueError(f"unknown variant {variant!r}: conv, smoke")
    return config
