"""nflows' flow of tabular-glow's architecture, trained on the same rows with the same schedule: the peer that
train_anomaly.py sets beside glowworm-train. Entry: held_out_log_p(). Needs what setup.sh makes."""
import copy
import math
import time

import nflows.distributions
import nflows.flows
import nflows.nn.nets
import nflows.transforms as nt
import numpy as np
import torch

# Of the preset tabular-glow, model/train/config.h.
STEPS, HIDDEN, BLOCKS, BATCH, EPOCHS, RATE, CLIP, PATIENCE, WARMUP_EPOCHS = 8, 64, 2, 256, 100, 1e-3, 5, 20, 1


def make_flow(features):
    """ActNorm, LULinear, affine coupling: as ours, but that their W is L U from the identity, ours P L U from a random
    rotation."""
    mask = torch.ones(features)  # transformed where positive
    mask[:(features + 1) // 2] = -1
    transforms = []
    for _ in range(STEPS):
        transforms += [nt.ActNorm(features), nt.LULinear(features, identity_init=True), nt.AffineCouplingTransform(
            mask, lambda i, o: nflows.nn.nets.ResidualNet(i, o, hidden_features=HIDDEN, num_blocks=BLOCKS))]
    return nflows.flows.Flow(nt.CompositeTransform(transforms), nflows.distributions.StandardNormal([features]))


def rate_share(fraction, warmup):
    """Of the highest learning rate, as in model/train/training.cc."""
    if fraction < warmup:
        return fraction / warmup
    return 0.5 * (1 + math.cos(math.pi * min(1, (fraction - warmup) / (1 - warmup))))


def train(flow, train_rows, validation_rows, epochs):
    """Keeps the weights of the best validation."""
    optimizer = torch.optim.AdamW(flow.parameters(), RATE, weight_decay=0)
    best, best_epoch, best_state, step = math.inf, 0, None, 0
    total = epochs * math.ceil(len(train_rows) / BATCH)
    for epoch in range(1, epochs + 1):
        flow.train()
        for index in torch.randperm(len(train_rows)).split(BATCH):
            optimizer.param_groups[0]["lr"] = RATE * rate_share(step / total + 1e-9, WARMUP_EPOCHS / epochs)
            optimizer.zero_grad()
            (-flow.log_prob(train_rows[index]).mean()).backward()
            torch.nn.utils.clip_grad_norm_(flow.parameters(), CLIP)
            optimizer.step()
            step += 1
        flow.eval()
        with torch.no_grad():
            nats = -flow.log_prob(validation_rows).mean().item()
        if nats < best:
            best, best_epoch, best_state = nats, epoch, copy.deepcopy(flow.state_dict())
        elif epoch - best_epoch >= PATIENCE:
            break
    flow.load_state_dict(best_state)
    return epoch


def held_out_log_p(split, seed, epochs=None):
    """(log p of a batch of raw rows: a function, seconds, epochs)."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    mean, deviation = split.train.astype("<f8").mean(0), split.train.astype("<f8").std(0)

    def features(rows):
        return torch.from_numpy(((rows - mean) / deviation).astype("<f4"))

    flow, begin = make_flow(split.train.shape[1]), time.monotonic()
    taken = train(flow, features(split.train), features(split.validation), epochs or EPOCHS)
    seconds = time.monotonic() - begin

    def log_p(rows):
        with torch.no_grad():
            return flow.double().log_prob(features(rows).double()).numpy() - np.log(deviation).sum()

    return log_p, seconds, taken
