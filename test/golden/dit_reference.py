"""A plain PyTorch DiT, written from the formulas, as the independent judge of ditc's models/dit.ts.

All four block variants of the DiT paper. Parameter names and shapes are the official checkpoint's; the three variants
that were never released use the nearest names:

    adaLN            as adaLN-Zero, but `adaLN_modulation.1` has 4d rows: shift_a, scale_a, shift_m, scale_m (no gates)
    cross-attention  adds blocks.{i}.cross.{q,k,v,proj}.{weight,bias}, each Linear(d, d); no `adaLN_modulation` anywhere
    in-context       attn and mlp only; no `adaLN_modulation` anywhere

Every LayerNorm is without affine parameters. Works in the dtype of its parameters; golden files use float64.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

BLOCKS = ("in-context", "cross-attention", "adaLN", "adaLN-Zero")
LN_EPS = 1e-6
FREQUENCIES = 128  # the timestep embedding is 128 cosines followed by 128 sines

DEFAULTS = dict(
    input_size=32, patch_size=2, in_channels=4, hidden_size=1152, depth=28, num_heads=16, mlp_ratio=4.0,
    class_dropout_prob=0.1, num_classes=1000, learn_sigma=True, block="adaLN-Zero",
)  # fmt: skip  (DiT-XL/2)

# depth, hidden size, heads of the paper's four sizes
SIZES = {"S": (12, 384, 6), "B": (12, 768, 12), "L": (24, 1024, 16), "XL": (28, 1152, 16)}


def named_config(name, image_size=256):
    """The configuration of "DiT-XL/2" and its kin; the latent side is an eighth of the image's."""
    size, patch = name.removeprefix("DiT-").split("/")
    depth, hidden, heads = SIZES[size]
    return dict(DEFAULTS, depth=depth, hidden_size=hidden, num_heads=heads, patch_size=int(patch),
                input_size=image_size // 8)  # fmt: skip


def camel_case(config):
    """The same configuration under the keys of models/dit.ts."""
    def camel(key):
        head, *tail = key.split("_")
        return head + "".join(word.capitalize() for word in tail)

    return {camel(key): value for key, value in config.items()}


def layer_norm(x):
    return F.layer_norm(x, x.shape[-1:], eps=LN_EPS)


def modulate(x, shift, scale):
    """x [N,T,d]; shift and scale [N,d], one value for all tokens."""
    return x * (1 + scale[:, None]) + shift[:, None]


def position_table(hidden, grid):
    """[grid², hidden] float64: sin(col), cos(col), sin(row), cos(row), a quarter of the width each."""
    quarter = hidden // 4
    omega = 10000.0 ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
    row, col = torch.meshgrid(*[torch.arange(grid, dtype=torch.float64)] * 2, indexing="ij")
    x, y = (p.reshape(-1, 1) * omega for p in (col, row))
    return torch.cat([x.sin(), x.cos(), y.sin(), y.cos()], dim=1)


def timestep_embedding(t):
    """[N] -> [N, 256], cosines first. Computed in t's dtype."""
    frequencies = torch.exp(-math.log(10000) * torch.arange(FREQUENCIES, dtype=torch.float64) / FREQUENCIES)
    args = t[:, None] * frequencies.to(t)
    return torch.cat([args.cos(), args.sin()], dim=1)


def attention(q, k, v, heads):
    """q [N,T,d], k and v [N,S,d] -> [N,T,d]; head j owns channels j·hd .. (j+1)·hd."""
    q, k, v = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)  # scale is hd^-1/2


class Attention(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(d, 3 * d)
        self.proj = nn.Linear(d, d)

    def forward(self, x):
        return self.proj(attention(*self.qkv(x).chunk(3, dim=2), self.heads))


class CrossAttention(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.proj = (nn.Linear(d, d) for _ in range(4))

    def forward(self, x, context):
        return self.proj(attention(self.q(x), self.k(context), self.v(context), self.heads))


class Mlp(nn.Module):
    def __init__(self, d, hidden):
        super().__init__()
        self.fc1 = nn.Linear(d, hidden)
        self.fc2 = nn.Linear(hidden, d)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


def modulation(d, parts):
    """SiLU then Linear: the Linear is `.1`, as in the official names."""
    return nn.Sequential(nn.SiLU(), nn.Linear(d, parts * d))


class Block(nn.Module):
    def __init__(self, d, heads, mlp_hidden, kind):
        super().__init__()
        self.kind = kind
        self.attn = Attention(d, heads)
        self.mlp = Mlp(d, mlp_hidden)
        if kind == "cross-attention":
            self.cross = CrossAttention(d, heads)
        if kind == "adaLN":
            self.adaLN_modulation = modulation(d, 4)
        if kind == "adaLN-Zero":
            self.adaLN_modulation = modulation(d, 6)

    def forward(self, x, c, context):
        """x [N,T,d]; c = t_emb + y_emb [N,d]; context = [t_emb; y_emb] [N,2,d]."""
        if self.kind == "adaLN-Zero":
            shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = self.adaLN_modulation(c).chunk(6, dim=1)
            x = x + gate_a[:, None] * self.attn(modulate(layer_norm(x), shift_a, scale_a))
            return x + gate_m[:, None] * self.mlp(modulate(layer_norm(x), shift_m, scale_m))
        if self.kind == "adaLN":
            shift_a, scale_a, shift_m, scale_m = self.adaLN_modulation(c).chunk(4, dim=1)
            x = x + self.attn(modulate(layer_norm(x), shift_a, scale_a))
            return x + self.mlp(modulate(layer_norm(x), shift_m, scale_m))
        x = x + self.attn(layer_norm(x))
        if self.kind == "cross-attention":
            x = x + self.cross(layer_norm(x), context)
        return x + self.mlp(layer_norm(x))


class DiT(nn.Module):
    """forward(x [N,C,I,I], t [N], y [N] integer) -> [N,Cout,I,I]; Cout = 2C when sigma is learned."""

    def __init__(self, **config):
        super().__init__()
        self.config = config = {**DEFAULTS, **config}
        assert config["block"] in BLOCKS, config["block"]
        d, patch, kind = config["hidden_size"], config["patch_size"], config["block"]
        heads, classes = config["num_heads"], config["num_classes"]
        assert d % heads == 0 and d % 4 == 0 and config["input_size"] % patch == 0
        self.patch = patch
        self.grid = config["input_size"] // patch
        self.out_channels = config["in_channels"] * (2 if config["learn_sigma"] else 1)
        self.null_class = classes
        self.class_dropout = config["class_dropout_prob"]

        table = position_table(d, self.grid).float()[None]
        self.pos_embed = nn.Parameter(table, requires_grad=False)
        self.x_embedder = nn.ModuleDict({"proj": nn.Conv2d(config["in_channels"], d, patch, stride=patch)})
        self.t_embedder = nn.ModuleDict(
            {"mlp": nn.Sequential(nn.Linear(2 * FREQUENCIES, d), nn.SiLU(), nn.Linear(d, d))}
        )
        rows = classes + (self.class_dropout > 0)  # the last row is the null class
        self.y_embedder = nn.ModuleDict({"embedding_table": nn.Embedding(rows, d)})
        self.blocks = nn.ModuleList(
            Block(d, heads, int(d * config["mlp_ratio"]), kind) for _ in range(config["depth"])
        )
        final = {"linear": nn.Linear(d, patch * patch * self.out_channels)}
        if kind.startswith("adaLN"):
            final["adaLN_modulation"] = modulation(d, 2)
        self.final_layer = nn.ModuleDict(final)
        self.initialise()

    def initialise(self):
        """The paper's initialisation: the first output is exactly 0."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.xavier_uniform_(self.x_embedder["proj"].weight.data.flatten(1))
        nn.init.zeros_(self.x_embedder["proj"].bias)
        nn.init.normal_(self.y_embedder["embedding_table"].weight, std=0.02)
        for i in (0, 2):
            nn.init.normal_(self.t_embedder["mlp"][i].weight, std=0.02)
        zeroed = [self.final_layer["linear"]]
        for part in (*self.blocks, self.final_layer):
            name = "adaLN_modulation"
            head = part[name] if isinstance(part, nn.ModuleDict) and name in part else getattr(part, name, None)
            if head is not None:
                zeroed.append(head[1])
        for layer in zeroed:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x, t, y):
        d, g, p = self.config["hidden_size"], self.grid, self.patch
        if self.training and self.class_dropout > 0:
            y = torch.where(torch.rand(y.shape) < self.class_dropout, self.null_class, y)
        t_emb = self.t_embedder["mlp"](timestep_embedding(t.to(x.dtype)))
        y_emb = self.y_embedder["embedding_table"](y)
        c, context = t_emb + y_emb, torch.stack([t_emb, y_emb], dim=1)

        tokens = self.x_embedder["proj"](x).flatten(2).transpose(1, 2) + self.pos_embed
        if self.config["block"] == "in-context":
            tokens = torch.cat([tokens, context], dim=1)
        for block in self.blocks:
            tokens = block(tokens, c, context)
        tokens = layer_norm(tokens[:, : g * g])

        if "adaLN_modulation" in self.final_layer:
            shift, scale = self.final_layer["adaLN_modulation"](c).split(d, dim=1)
            tokens = modulate(tokens, shift, scale)
        out = self.final_layer["linear"](tokens)  # channel-last inside a patch: (ph·p + pw)·Cout + ch
        return torch.einsum("nrcpqo->norpcq", out.unflatten(2, (p, p, -1)).unflatten(1, (g, g))).flatten(4).flatten(2, 3)


def parameter_count(config):
    """(with pos_embed, without it), counted on the meta device: nothing is allocated."""
    with torch.device("meta"):
        model = DiT(**config)
    total = sum(p.numel() for p in model.parameters())
    return total, total - model.pos_embed.numel()
