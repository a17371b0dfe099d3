"""The tools: `skinmtl_tools` where pip has installed them, with workflow/ and solvers/ inside; scripts in a clone."""
