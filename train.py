"""Train a network of the zoo: `python train.py experiment=mnist_lenet`. The work is done in zoo/train.py."""

from zoo.train import main

if __name__ == "__main__":
    main()
