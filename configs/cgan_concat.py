"""Conditional GAN on MNIST: the label is concatenated to the input of both networks.

Source: post P003, the conditional GAN post (PyTorch).
Run:    tfgan-lab train --config=cgan_concat --data_dir=FOLDER_WITH_MNIST
Time:   22 minutes on one core (30,000 steps).
Variants: `:smoke` seconds, for tests; `:dropout_after_output` is the post's ablation (dropout after G's last layer: the
post says that it stops learning); `:batch4` has the batch size of the post's comments.
"""

from tfgan_lab.config import MLP, Adam, Every, Game, GanConfig, Init, Latents, Mnist


def get_config(variant: str = "") -> GanConfig:
    init = Init(kernel="normal", std=0.02, bias="zeros")
    config = GanConfig(
        name="cgan_concat",
        post="P003",
        data=Mnist(train_split="train+validation", pixels="tanh"),
        num_labels=10,
        onednn=True,
        batch_size=100,
        epochs=50,
        latents=Latents(dim=100, distribution="normal"),
        generator=MLP(
            hidden=(256, 512, 1200), activation=("leaky_relu",), slope=0.2, dropout=0.5, output="tanh", init=init
        ),
        discriminator=MLP(
            hidden=(1024, 512, 256), activation=("leaky_relu",), slope=0.2, dropout=0.3, output="linear", init=init
        ),
        g_optimizer=Adam(learning_rate=2e-4, beta_1=0.5),
        d_optimizer=Adam(learning_rate=2e-4, beta_1=0.5),
        game=Game(first="generator", fakes="shared", d_loss="half_sum"),
        num_samples=100,
        log=Every(steps=100),
        log_line="Train Epoch: [{epoch}/{epochs}]  Step: [{step_in_epoch}/{steps_per_epoch}]"
        "  G loss: {g_loss:.5f}  D loss: {d_loss:.5f}",
        evaluate=Every(epochs=1),
        sample=Every(epochs=1),
        metrics=Every(epochs=10),
        checkpoint=Every(epochs=1),
    )
    match variant:
        case "":
            return config
        case "smoke":
            config.metrics = Every()
            config.batch_size, config.epochs, config.steps = 50, 0, 20
            config.generator.hidden = config.discriminator.hidden = (16, 16)
            config.log = config.evaluate = config.sample = config.checkpoint = Every(steps=10)
        case "dropout_after_output":
            config.generator.dropout_after_output = True
        case "batch4":
            config.batch_size = 4
        case _:
            raise ValueError(f"unknown variant {variant!r}: smoke, dropout_after_output, batch4")
    return config
