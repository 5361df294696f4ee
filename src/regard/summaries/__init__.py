"""What a run over videos says in numbers and plots: `regard.summarize`."""
