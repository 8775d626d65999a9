"""How `tfgan_lab.data.faces` draws: a pen, and the parts of a face."""
