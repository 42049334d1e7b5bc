"""The Llama architecture in torch, with Hugging Face's tensor names as the parameter names."""

import torch
from torch import nn
from torch.nn import functional

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 192,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 18,
    "max_position_embeddings": 32,
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "tie_word_embeddings": True,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "torch_dtype": "float32",
}


class RmsNorm(nn.Module):
    def __init__(self, width, epsilon):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.epsilon) * self.weight


class InputCoding(nn.Module):
    """The identity, except while training with levels set: then values round to an even grid.

    lutdb codes the inputs of every linear layer in 8 bits, and a few huge activations would leave
    that grid too coarse for the rest. Rounding passes gradients straight through to the values, and
    the grid's step passes its own to the largest and smallest value, which draws them in.
    """

    levels = None

    def forward(self, x):
        if self.levels is None or not self.training:
            return x
        step = (x.max() - x.min()) / (self.levels - 1)
        with torch.no_grad():
            scaled = x / step
            residual = scaled.round() - scaled
        return x + residual * step


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, self.head_width = config["hidden_size"], config["head_dim"]
        self.heads = config["num_attention_heads"]
        self.key_heads = config["num_key_value_heads"]
        self.q_proj = nn.Linear(width, self.heads * self.head_width, bias=False)
        self.k_proj = nn.Linear(width, self.key_heads * self.head_width, bias=False)
        self.v_proj = nn.Linear(width, self.key_heads * self.head_width, bias=False)
        self.o_proj = nn.Linear(self.heads * self.head_width, width, bias=False)
        self.input_coding, self.output_coding = InputCoding(), InputCoding()

    def forward(self, x, cosine, sine, mask):
        batch, length, _ = x.shape
        x = self.input_coding(x)

        def split(values, heads):
            return values.view(batch, length, heads, self.head_width).transpose(1, 2)

        def rotate(values):
            # Hugging Face pairs dimension i with i + head_width / 2, not with its neighbour.
            low, high = values.chunk(2, -1)
            return values * cosine + torch.cat([-high, low], -1) * sine

        # The scale goes on the queries, which are fewer numbers than the scores.
        query = rotate(split(self.q_proj(x), self.heads)) * self.head_width**-0.5
        key = rotate(split(self.k_proj(x), self.key_heads))
        value = split(self.v_proj(x), self.key_heads)
        # Grouped queries: neighbouring heads share a key head, so they fold into its rows.
        group = self.heads // self.key_heads
        query = query.reshape(batch, self.key_heads, group * length, self.head_width)
        scores = query @ key.transpose(-1, -2) + mask.repeat(group, 1)
        mixed = (scores.softmax(-1) @ value).view(batch, self.heads, length, self.head_width)
        mixed = mixed.transpose(1, 2).reshape(batch, length, -1)
        return self.o_proj(self.output_coding(mixed))


class Mlp(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, inner = config["hidden_size"], config["intermediate_size"]
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)
        self.input_coding, self.inner_coding = InputCoding(), InputCoding()

    def forward(self, x):
        x = self.input_coding(x)
        inner = functional.silu(self.gate_proj(x)) * self.up_proj(x)
        return self.down_proj(self.inner_coding(inner))


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.input_layernorm = RmsNorm(config["hidden_size"], config["rms_norm_eps"])
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RmsNorm(config["hidden_size"], config["rms_norm_eps"])
        self.mlp = Mlp(config)

    def forward(self, x, cosine, sine, mask):
        x = x + self.self_attn(self.input_layernorm(x), cosine, sine, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Body(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(Layer(config) for _ in range(config["num_hidden_layers"]))
        self.norm = RmsNorm(config["hidden_size"], config["rms_norm_eps"])
        self.head_coding = InputCoding()


class Llama(nn.Module):
    """Token ids [batch, length] to logits [batch, length, vocabulary], every position at once."""

    def __init__(self, config):
        super().__init__()
        self.model = Body(config)
        positions = config["max_position_embeddings"]
        width = config["head_dim"]
        rates = config["rope_theta"] ** -(torch.arange(0, width, 2) / width)
        angles = torch.arange(positions)[:, None] * rates[None, :]
        self.cosine = torch.cat([angles, angles], -1).cos()
        self.sine = torch.cat([angles, angles], -1).sin()
        self.mask = torch.full((positions, positions), float("-inf")).triu(1)
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
        # Tied weights are read out as well, so they start small enough for flat first logits.
        nn.init.normal_(self.model.embed_tokens.weight, std=0.05)

    def forward(self, ids):
        length = ids.shape[1]
        x = self.model.embed_tokens(ids)
        for layer in self.model.layers:
            x = layer(x, self.cosine[:length], self.sine[:length], self.mask[:length, :length])
        return self.model.head_coding(self.model.norm(x)) @ self.model.embed_tokens.weight.T
