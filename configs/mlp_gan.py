"""MLP GAN on MNIST with p_real / p_fake traces.

Source: post P000, "Generative Adversarial Nets part3" (PyTorch); Goodfellow et al., 2014.
Run:    tfgan-lab train --config=mlp_gan --data_dir=FOLDER_WITH_MNIST
Time:   10 to 20 minutes of a free core (60,000 steps of full MNIST).
Variants: `:smoke` seconds, for tests; `:fresh_real` gives each of k discriminator steps (here k = 2) its own real
batch, as algorithm 1 of the paper does; `:minimax` trains G on log(1 - D(G(z))); `:wgan` has the Wasserstein loss,
clipped weights and RMSprop at the rate of Arjovsky et al., 2017, `:wgan_gp` that loss, the gradient penalty and the
Adam of Gulrajani et al., 2017, both on the post's networks and batches. `:hidden=64` sets the width of the hidden
layers.
"""

from tfgan_lab.config import Adam, Every, Game, GanConfig, Init, KerasOptimizer, Latents, Mnist
from tfgan_lab.layers import Dense, Dropout, Flatten, LeakyReLU, ReLU, Reshape, Tanh


def get_config(variant: str = "", hidden: int | None = None) -> GanConfig:
    if hidden is None:
        hidden = 16 if variant == "smoke" else 256
    generator = [
        Dense(hidden), ReLU(), Dropout(0.1),
        Dense(hidden), ReLU(), Dropout(0.1),
        Dense(28 * 28), Tanh(), Reshape(28, 28, 1),
    ]  # fmt: skip
    discriminator = [
        Flatten(),
        Dense(hidden), LeakyReLU(0.01), Dropout(0.1),
        Dense(hidden), LeakyReLU(0.01), Dropout(0.1),
        Dense(1),
    ]  # fmt: skip
    init = Init(kernel="xavier_normal", bias="uniform", bias_low=0.1, bias_high=0.2)
    config = GanConfig(
        name="mlp_gan",
        post="P000",
        data=Mnist(train_split="train+validation", pixels="tanh"),
        batch_size=200,
        epochs=200,
        latents=Latents(dim=100, distribution="normal"),
        generator=generator,
        discriminator=discriminator,
        g_init=init,
        d_init=init,
        g_optimizer=Adam(learning_rate=1e-4),
        d_optimizer=Adam(learning_rate=1e-4),
        game=Game(d_steps=1, d_dropout_in_g_step=False, loss="non_saturating"),
        num_samples=16,
        untrained=True,
        log=Every(epochs=1),
        log_line="",
        evaluate=Every(epochs=1),
        evaluate_line="(epoch {epoch}/{epochs}) p_real: {p_real:.6f}, p_g: {p_fake:.6f}",
        evaluate_print=Every(epochs=20),
        sample=Every(epochs=1),
        metrics=Every(epochs=20),
        checkpoint=Every(epochs=1),
    )
    match variant:
        case "":
            return config
        case "smoke":
            config.batch_size, config.epochs, config.steps = 50, 0, 20
            config.log = config.evaluate = config.sample = config.checkpoint = config.evaluate_print = Every(steps=10)
            config.metrics = Every()
        case "fresh_real":
            config.game.d_steps, config.game.fresh_real = 2, True
        case "minimax":
            config.game.loss = "minimax"
        case "wgan":
            config.game.loss, config.game.clip = "wasserstein", 0.01
            config.g_optimizer = config.d_optimizer = KerasOptimizer(
                name="rmsprop", learning_rate=5e-5, arguments={"rho": 0.99, "epsilon": 1e-16}
            )
        case "wgan_gp":
            config.game.loss, config.game.penalty = "wasserstein", "wgan_gp"
            config.g_optimizer = config.d_optimizer = Adam(learning_rate=1e-4, beta_1=0.0, beta_2=0.9)
        case _:
            raise ValueError(f"unknown variant {variant!r}: smoke, fresh_real, minimax, wgan, wgan_gp")
    return config
