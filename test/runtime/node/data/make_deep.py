"""Writes fixtures/: TIFFs whose values are floats or 32-bit numbers, and 16-bit ones, for decode.test.ts.

    pip install -r test/golden/requirements.txt && python test/runtime/node/data/make_deep.py
"""

from pathlib import Path

import numpy as np
from PIL import Image

OUT = Path(__file__).parent / "fixtures"
ramp = np.arange(64, dtype=np.float64).reshape(8, 8) / 63
Image.fromarray(ramp.astype(np.float32)).save(OUT / "float.tiff")
Image.fromarray(np.int32(ramp * 2**30)).save(OUT / "int32.tiff")
Image.fromarray(np.uint16(ramp * 65535)).save(OUT / "deep.tiff")
