"""The golden numbers of recordings_test.cc: log spectra by their definition, with numpy's FFT."""
import numpy as np


def sound(count):
    samples, state = [], 12345
    for i in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        samples.append((4000 if i // 10 % 2 == 0 else -4000) + i + (state >> 22))
    return np.array(samples, float)


def mel(hz):
    return np.log(1 + hz / 700.0)


def row(samples, frames, bands, window, rate):
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    slack = max(len(samples) - window, 0)
    padded = np.concatenate([samples, np.zeros(window)])
    centre = mel(np.arange(window // 2 + 1) * rate / window) * (bands + 1) / mel(rate / 2)
    shares = np.maximum(0, 1 - abs(centre[None] - (np.arange(bands) + 1)[:, None]))
    out = []
    for frame in range(frames):
        begin = slack // 2 if frames == 1 else slack * frame // (frames - 1)
        spectrum = np.fft.rfft(padded[begin:begin + window] * hann)
        out.append(np.log(1 + shares @ (abs(spectrum) ** 2 / (hann ** 2).sum())))
    out = np.array(out)
    return (out - out.mean()).ravel()


if __name__ == "__main__":
    print(", ".join(f"{x:.6f}f" for x in row(sound(1000), 3, 4, 64, 8000)))
    print(", ".join(f"{x:.6f}f" for x in row(sound(40), 3, 4, 64, 8000)[:4]))
