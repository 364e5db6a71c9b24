"""The flows that peers.py times, built from public libraries with seeded, tame weights: for each the PyTorch model and
a FlowWriter that holds the same numbers. Entry: FLOWS, name -> a function that gives a Peer."""
import dataclasses
from typing import Callable

import nflows.distributions
import nflows.flows
import nflows.nn.nets
import nflows.transforms as nt
import normflows as nf
import numpy as np
import torch

from flow_writer import FlowWriter

SEED = 20240601


@dataclasses.dataclass
class Peer:
    title: str
    model: torch.nn.Module
    writer: FlowWriter
    log_prob: Callable  # (model, x) -> log p
    encode: Callable    # (model, x) -> (z as Encode returns it, log p)
    decode: Callable    # (model, z) -> x
    sample: Callable    # (model, n) -> x


def numbers(tensor):
    return tensor.detach().double().numpy()


def weights(tensor):
    return tensor.detach().numpy().astype("<f4")


# -- nflows --


def tame_net(net, final_std):
    """Last layers start near zero in nflows: gives them weights of a trained net's size."""
    for block in net.blocks:
        torch.nn.init.normal_(block.linear_layers[-1].weight, std=0.3 / np.sqrt(net.final_layer.in_features))
    torch.nn.init.normal_(net.final_layer.weight, std=final_std / np.sqrt(net.final_layer.in_features))
    return net


def residual_net(hidden, final_std):
    return lambda i, o: tame_net(nflows.nn.nets.ResidualNet(i, o, hidden_features=hidden, num_blocks=2), final_std)


def act_norm(features):
    layer = nt.ActNorm(features)
    layer.initialized.fill_(True)
    torch.nn.init.normal_(layer.log_scale, std=0.1)
    torch.nn.init.normal_(layer.shift, std=0.1)
    return layer


def lu_linear(features):
    # The composed matrix is kept between calls, as a user who serves would have it.
    layer = nt.LULinear(features, identity_init=True, using_cache=True)
    for entries in (layer.lower_entries, layer.upper_entries):
        torch.nn.init.normal_(entries, std=0.3 / np.sqrt(features))
    torch.nn.init.normal_(layer.bias, std=0.1)
    return layer


def residual_ops(net):
    def dense(layer):
        mask = getattr(layer, "mask", 1)
        return ("dense", weights(layer.weight * mask), weights(layer.bias))
    ops = [dense(net.initial_layer)]
    for block in net.blocks:
        ops.append(("residual", ["RELU", dense(block.linear_layers[0]), "RELU", dense(block.linear_layers[1])]))
    return ops + [dense(net.final_layer)]


def write_act_norm(writer, layer):
    writer.affine(np.exp(numbers(layer.log_scale)), numbers(layer.shift))


def write_lu(writer, layer):
    lower, upper = layer._create_lower_upper()
    writer.plu(np.arange(writer.channels), numbers(lower), numbers(upper),
               numbers(torch.nn.functional.softplus(layer.unconstrained_upper_diag.double()) + layer.eps),
               numbers(layer.bias))


def nflows_peer(title, transforms, writer):
    writer.standard_normal()
    features = writer.channels
    model = nflows.flows.Flow(nt.CompositeTransform(transforms), nflows.distributions.StandardNormal([features]))

    def encode(m, x):
        z, log_det = m._transform(x)
        return z, m._distribution.log_prob(z) + log_det

    return Peer(title, model.eval(), writer, lambda m, x: m.log_prob(x), encode, lambda m, z: m._transform.inverse(z)[0],
                lambda m, n: m.sample(n))


def provenance(library, version):
    return {"library": library, "library_version": version, "torch": torch.__version__, "data": "none, seeded weights"}


def tabular_glow():
    torch.manual_seed(SEED)
    d, hidden, steps = 64, 128, 8
    title = f"tabular Glow, d={d}, {steps} steps, ResidualNet {hidden}x2"
    writer = FlowWriter("tabular-glow", title, [d], provenance("nflows", "0.14"))
    transforms = []
    for step in range(steps):
        mask = nflows.utils.create_alternating_binary_mask(d, even=step % 2 == 0)
        norm, linear = act_norm(d), lu_linear(d)
        coupling = nt.AffineCouplingTransform(mask, residual_net(hidden, 0.5))
        transforms += [norm, linear, coupling]
        write_act_norm(writer, norm)
        write_lu(writer, linear)
        writer.coupling(coupling.identity_features.numpy(), coupling.transform_features.numpy(),
                        residual_ops(coupling.transform_net),
                        affine={"scale_map": "SIGMOID", "order": "SCALE_THEN_SHIFT", "offset": 2.0, "epsilon": 1e-3,
                                "clamp": 0.0})
    return nflows_peer(title, transforms, writer)


def rq_nsf():
    torch.manual_seed(SEED + 1)
    d, hidden, steps, bins, bound = 6, 256, 10, 8, 3.0
    title = f"RQ-NSF(C), d={d}, {steps} steps, ResidualNet {hidden}x2, K={bins}"
    writer = FlowWriter("rq-nsf", title, [d], provenance("nflows", "0.14"))
    transforms = []
    for step in range(steps):
        mask = nflows.utils.create_alternating_binary_mask(d, even=step % 2 == 0)
        permutation, linear = nt.RandomPermutation(d), lu_linear(d)
        coupling = nt.PiecewiseRationalQuadraticCouplingTransform(
            mask, residual_net(hidden, 2.0), num_bins=bins, tails="linear", tail_bound=bound)
        transforms += [permutation, linear, coupling]
        writer.permutation(permutation._permutation.numpy())
        write_lu(writer, linear)
        writer.coupling(coupling.identity_features.numpy(), coupling.transform_features.numpy(),
                        residual_ops(coupling.transform_net),
                        spline={"bins": bins, "tail_bound": bound, "min_bin_width": coupling.min_bin_width,
                                "min_bin_height": coupling.min_bin_height, "min_derivative": coupling.min_derivative,
                                "width_height_scale": 1 / np.sqrt(hidden), "parametrization": "SOFTMAX"})
    return nflows_peer(title, transforms, writer)


def maf():
    torch.manual_seed(SEED + 2)
    d, hidden, steps = 21, 128, 5
    title = f"MAF, d={d}, {steps} layers, MADE {hidden}x2"
    writer = FlowWriter("maf", title, [d], provenance("nflows", "0.14"))
    transforms = []
    for _ in range(steps):
        permutation = nt.ReversePermutation(d)
        layer = nt.MaskedAffineAutoregressiveTransform(d, hidden_features=hidden, num_blocks=2)
        net = tame_net(layer.autoregressive_net, 0.5)
        with torch.no_grad():
            net.final_layer.bias[0::2] += 0.5  # softplus(0.5) is about 1: scales stay near it
        transforms += [permutation, layer]
        writer.permutation(permutation._permutation.numpy())
        ops = residual_ops(net)
        kind, weight, bias = ops[-1]
        swap = np.arange(2 * d).reshape(d, 2)[:, ::-1].ravel()  # nflows: raw scale, shift; the file: shift, raw scale
        ops[-1] = (kind, weight[swap], bias[swap])
        writer.autoregressive(np.arange(d), ops, "FORWARD",
                              affine={"scale_map": "SOFTPLUS", "order": "SCALE_THEN_SHIFT", "offset": 0.0,
                                      "epsilon": 1e-3, "clamp": 0.0})
    return nflows_peer(title, transforms, writer)


# -- normflows --


def glow_block(channels, hidden):
    block = nf.flows.GlowBlock(channels, hidden, scale_map="sigmoid", split_mode="channel", init_zeros=False)
    coupling, mix, norm = block.flows
    last = coupling.flows[1].param_map.net[-1]
    torch.nn.init.normal_(last.weight, std=0.3 / np.sqrt(9 * hidden))
    torch.nn.init.zeros_(last.bias)
    torch.nn.init.normal_(norm.s, std=0.1)
    torch.nn.init.normal_(norm.t, std=0.1)
    norm.data_dep_init_done.fill_(1.0)
    return block


def write_glow_block(writer, block):
    """Its inverse: normflows' forward runs from latent to data."""
    coupling, mix, norm = block.flows
    c = writer.channels
    scale = np.exp(-numbers(norm.s).ravel())
    writer.affine(scale, -numbers(norm.t).ravel() * scale)
    writer.plu(numbers(mix.P).argmax(1), numbers(mix.L), numbers(mix.U), numbers(mix.sign_S) * np.exp(numbers(mix.log_S)))
    convs = [m for m in coupling.flows[1].param_map.net if isinstance(m, torch.nn.Conv2d)]
    # The net gives shift and scale in turn, and y = (b - shift) scale; the file holds all shifts first, added.
    weight, bias = weights(convs[2].weight), weights(convs[2].bias)
    weight = np.concatenate([-weight[0::2], weight[1::2]])
    bias = np.concatenate([-bias[0::2], bias[1::2]])
    net = []
    for conv in convs[:2]:
        net += [("conv", weights(conv.weight), weights(conv.bias)), "RELU"]
    half = (c + 1) // 2
    writer.coupling(np.arange(half), np.arange(half, c), net + [("conv", weight, bias)],
                    affine={"scale_map": "SIGMOID", "order": "SHIFT_THEN_SCALE", "offset": 2.0, "epsilon": 0.0,
                            "clamp": 0.0})


def image_glow():
    torch.manual_seed(SEED + 3)
    (c, h, w), levels, steps, hidden = (3, 32, 32), 3, 8, 256
    title = f"image Glow, {c}x{h}x{w}, {levels} levels, K={steps}, hidden {hidden}"
    writer = FlowWriter("image-glow", title, [c, h, w], provenance("normflows", "1.7.3"))
    bases, flows, merges = [], [], []  # the innermost level first
    for level in range(levels):
        channels, size = c * 2 ** (levels + 1 - level), h // 2 ** (levels - level)
        flows.append([glow_block(channels, hidden) for _ in range(steps)] + [nf.flows.Squeeze()])
        if level > 0:
            merges.append(nf.flows.Merge())
        shape = (channels if level == 0 else channels // 2, size, size)
        bases.append(nf.distributions.GlowBase(shape))
        torch.nn.init.normal_(bases[-1].loc, std=0.1)
        torch.nn.init.normal_(bases[-1].log_scale, std=0.1)
    for level in reversed(range(levels)):
        writer.squeeze()
        for block in reversed(flows[level][:-1]):
            write_glow_block(writer, block)
        mean, log_scale = numbers(bases[level].loc).ravel(), numbers(bases[level].log_scale).ravel()
        if level > 0:
            writer.split(mean, log_scale)
        else:
            writer.diag_normal(mean, log_scale)
    model = nf.MultiscaleFlow(bases, flows, merges, class_cond=False).eval()
    shapes = [base.shape for base in bases][::-1]

    def encode(m, x):
        z, log_det = m.inverse_and_log_det(x)
        log_p = log_det + sum(base.log_prob(part) for base, part in zip(m.q0, z))
        return torch.cat([part.flatten(1) for part in reversed(z)], 1), log_p

    def decode(m, z):
        parts = z.split([int(np.prod(s)) for s in shapes], 1)
        return m.forward_and_log_det([p.view(-1, *s) for p, s in zip(parts, shapes)][::-1])[0]

    return Peer(title, model, writer, lambda m, x: m.log_prob(x, None), encode, decode, lambda m, n: m.sample(n)[0])


FLOWS = {"tabular-glow": tabular_glow, "rq-nsf": rq_nsf, "image-glow": image_glow, "maf": maf}
