"""MLP GAN on MNIST with losses on logits and one-sided label smoothing.

Source: post P002, "Learning GAN" (TensorFlow 1); label smoothing from Salimans et al., 2016.
Run:    tfgan-lab train --config=mlp_gan_smoothed --data_dir=FOLDER_WITH_MNIST
Time:   2 minutes on one core (55,000 steps).
Variants: `:smoke` seconds, for tests; `:batch_norm` adds what the post's tips ask for (BatchNorm everywhere but in G's
last and D's first layer, real and fake batches apart; two hidden layers, so that D has one to normalise).
"""

from tfgan_lab.config import MLP, Adam, Every, Game, GanConfig, Init, Latents, Mnist


def get_config(variant: str = "") -> GanConfig:
    init = Init(kernel="glorot_uniform", bias="zeros")
    config = GanConfig(
        name="mlp_gan_smoothed",
        post="P002",
        data=Mnist(train_split="train", pixels="tanh"),
        batch_size=100,
        epochs=100,
        latents=Latents(dim=100, distribution="uniform"),
        generator=MLP(hidden=(128,), activation=("leaky_relu",), slope=0.01, output="tanh", init=init),
        discriminator=MLP(hidden=(128,), activation=("leaky_relu",), slope=0.01, output="linear", init=init),
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
    )
    match variant:
        case "":
            return config
        case "smoke":
            config.metrics = Every()
            config.batch_size, config.epochs, config.steps = 50, 0, 20
            config.generator.hidden = config.discriminator.hidden = (16,)
            config.log = config.evaluate = config.sample = config.checkpoint = Every(steps=10)
        case "batch_norm":
            config.generator.hidden = config.discriminator.hidden = (128, 128)
            config.generator.norm = config.discriminator.norm = "batch"
            config.generator.norm_first = config.discriminator.norm_first = True
            config.discriminator.norm_from_layer = 1
        case _:
            raise ValueError(f"unknown variant {variant!r}: smoke, batch_norm")
    return config
