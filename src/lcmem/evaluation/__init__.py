"""The paper's benchmarks: re-identification, copy detection, one-vs-all, ablation."""
