"""Makes tests/data/safetensors, files written by the safetensors package from PyTorch tensors; prints their values.

    python tools/safetensors_data.py tests/data/safetensors
"""
import json
import sys

import torch
from safetensors.torch import save_file

FLOATS = [0.0, -0.0, 1.0, -1.5, 0.1, 65504.0, -3.0e-6, 1 / 3, float("inf"), float("-inf"), 1024.5, 6.0e-8]
TYPES = {
    "bool": torch.bool, "u8": torch.uint8, "i8": torch.int8, "i16": torch.int16, "u16": torch.uint16,
    "f16": torch.float16, "bf16": torch.bfloat16, "i32": torch.int32, "u32": torch.uint32, "f32": torch.float32,
    "f64": torch.float64, "i64": torch.int64, "u64": torch.uint64, "c64": torch.complex64,
    "f8_e4m3": torch.float8_e4m3fn, "f8_e5m2": torch.float8_e5m2,
    "f8_e4m3fnuz": torch.float8_e4m3fnuz, "f8_e5m2fnuz": torch.float8_e5m2fnuz,
}


def values(name, dtype):
    if dtype == torch.bool:
        return torch.tensor([True, False, True, True, False, True]).reshape(2, 3)
    if dtype.is_complex:
        return torch.tensor([1 + 2j, -0.5j], dtype=dtype)
    if dtype.is_floating_point and dtype.itemsize == 1:
        return torch.tensor([1.0, -2.0, 0.5, 16.0]).to(dtype)
    if dtype.is_floating_point:
        return torch.tensor(FLOATS, dtype=torch.float64).to(dtype).reshape(3, 1, 4)
    info = torch.iinfo(dtype)
    rows = [info.min, info.max, 0, 1, 7, 100]
    return torch.tensor(rows, dtype=dtype).reshape(3, 2)


def main(folder):
    tensors = {name: values(name, dtype) for name, dtype in TYPES.items()}
    tensors["scalar"] = torch.tensor(2.5)
    tensors["empty"] = torch.zeros(3, 0, 2)
    tensors['odd "name" \\ é\t'] = torch.tensor([1.0, 2.0])
    save_file(tensors, f"{folder}/all-types.safetensors", metadata={"format": "pt"})
    save_file({}, f"{folder}/no-tensors.safetensors")

    # What a state_dict of timm looks like: weights, a buffer of integers, no metadata.
    torch.manual_seed(0)
    save_file({"conv.weight": torch.randn(4, 3, 3, 3), "bn.num_batches_tracked": torch.tensor(17),
               "bn.running_mean": torch.randn(4).half(), "head.bias": torch.randn(5).bfloat16()},
              f"{folder}/state.safetensors")

    # Roundings on the way from float to 16 bits: halves and bfloats, the points half way, one step off.
    u = torch.arange(65536, dtype=torch.int32)
    corner = []
    for bits in (u.to(torch.int16).view(torch.float16).float(), (u << 16).view(torch.float32)):
        f = bits[torch.isfinite(bits)][::37].view(torch.int32)
        corner += [f, f + 0x1000, f + 0xFFF, f + 0x1001, f + 0x8000, f + 0x7FFF, f + 0x8001, f - 1]
    bits = torch.cat(corner + [torch.tensor([0x33000000, 0x33000001, 0x32FFFFFF, 0x477FEFFF, 0x477FF000, 0x7F7FFFFF,
                                             0x7F7F8000, 0x7F7F7FFF, 0x7F800000, 1, 0x387FFFFF, 0x38800000], dtype=torch.int32)])
    x = bits.view(torch.float32)
    x = x[~torch.isnan(x)][::3].contiguous()
    save_file({"float": x, "half": x.half(), "bfloat": x.bfloat16()}, f"{folder}/rounding.safetensors")

    expected = {n: [str(v) for v in t.double().flatten().tolist()] for n, t in tensors.items()
                if not t.is_complex() and t.dtype not in (torch.int64, torch.uint64)}
    print(json.dumps(expected, indent=1))


main(sys.argv[1])
