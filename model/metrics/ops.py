"""keras.ops, imported when first used: what reads records alone starts without a backend."""


def __getattr__(name: str):
    from keras import ops

    return getattr(ops, name)
