"""Train a network of the zoo: `python train.py experiment=mnist_lenet`. See zoo/cli.py, zoo/train.py."""

from zoo.cli import main

if __name__ == "__main__":
    main()
