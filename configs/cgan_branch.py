"""Conditional GAN on MNIST: latents and label get a layer each and are joined (G with BatchNorm).

Source: post P003, the conditional GAN post (PyTorch), its second generator; D is the post's concat discriminator.
Run:    tfgan-lab train --config=cgan_branch --data_dir=FOLDER_WITH_MNIST
Time:   1.5 to 2.2 hours on one core (750,000 steps of 4 images); `:batched` 13 to 24 minutes (30,000 steps).
The batch of 4 is that of the post's comments, and it decides: at 4 the net draws the digits asked for after two epochs,
at 100 (`:batched`) it drew one image per label in every try. Ours, because the post does not show them: the optimiser
(Adam 2e-4, beta_1 0.5), D's dropout (0.3), the start (N(0, 0.02) everywhere, zero biases).
Variants: `:smoke` seconds, for tests; `:torch_init` starts from PyTorch's default, the other reading of the post (it
names an initialiser, but shows no call of it); `:branch_d` embeds image and label apart in D too (the post says that it
can be done; the widths of that D are ours); `:dropout_after_output` is the post's ablation; `:batched` sees 100 images
a step, is measured every 10 epochs and saved every epoch, and is not compiled by XLA.
"""

from tfgan_lab.config import Adam, Every, Game, GanConfig, Init, Latents, Mnist
from tfgan_lab.layers import BatchNorm, ConcatLabel, Dense, Dropout, Flatten, Join, LeakyReLU, ReLU, Reshape, Tanh


def get_config(variant: str = "") -> GanConfig:
    a, b, c = (16, 16, 16) if variant == "smoke" else (256, 512, 1024)
    generator = [
        Join([Dense(256), BatchNorm(), ReLU()], label=[Dense(256), BatchNorm(), ReLU()]),
        Dense(b), BatchNorm(), ReLU(), Dropout(0.2),
        Dense(c), BatchNorm(), ReLU(), Dropout(0.2),
        Dense(28 * 28), Tanh(), Reshape(28, 28, 1),
    ]  # fmt: skip
    discriminator = [
        Flatten(), ConcatLabel(),
        Dense(c), LeakyReLU(0.2), Dropout(0.3),
        Dense(b), LeakyReLU(0.2), Dropout(0.3),
        Dense(a), LeakyReLU(0.2), Dropout(0.3),
        Dense(1),
    ]  # fmt: skip
    init = Init(kernel="normal", std=0.02, bias="zeros")
    config = GanConfig(
        name="cgan_branch",
        post="P003",
        data=Mnist(train_split="train+validation", pixels="tanh"),
        num_labels=10,
        onednn=True,
        batch_size=4,
        epochs=50,
        latents=Latents(dim=100, distribution="normal"),
        generator=generator,
        discriminator=discriminator,
        g_init=init,
        d_init=init,
        g_optimizer=Adam(learning_rate=2e-4, beta_1=0.5),
        d_optimizer=Adam(learning_rate=2e-4, beta_1=0.5),
        game=Game(first="generator", fakes="shared", d_loss="half_sum"),
        num_samples=100,
        log=Every(steps=100),
        log_line="Train Epoch: [{epoch}/{epochs}]  Step: [{step_in_epoch}/{steps_per_epoch}]"
        "  G loss: {g_loss:.5f}  D loss: {d_loss:.5f}",
        evaluate=Every(epochs=1),
        sample=Every(epochs=1),
        metrics=Every(epochs=1),
        checkpoint=Every(epochs=0.25),
        compile="xla",
    )
    match variant:
        case "":
            return config
        case "smoke":
            config.compile = "loop"  # so few steps do not pay for compiling
            config.metrics = Every()
            config.batch_size, config.epochs, config.steps = 50, 0, 20
            config.log = config.evaluate = config.sample = config.checkpoint = Every(steps=10)
        case "branch_d":
            config.discriminator = [
                Flatten(),
                Join([Dense(512), LeakyReLU(0.2), Dropout(0.3)], label=[Dense(512), LeakyReLU(0.2), Dropout(0.3)]),
                Dense(512), LeakyReLU(0.2), Dropout(0.3),
                Dense(256), LeakyReLU(0.2), Dropout(0.3),
                Dense(1),
            ]  # fmt: skip
        case "dropout_after_output":
            config.generator.insert(-1, Dropout(0.2))  # after Tanh
        case "torch_init":
            config.g_init = config.d_init = Init(kernel="torch", bias="torch")
        case "batched":
            config.batch_size, config.compile = 100, "loop"
            config.metrics, config.checkpoint = Every(epochs=10), Every(epochs=1)
        case _:
            raise ValueError(f"unknown variant {variant!r}: smoke, branch_d, dropout_after_output, torch_init, batched")
    return config
