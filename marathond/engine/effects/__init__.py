"""How each kind of effect is performed: one file each. All are safe to run again after a crash at any point."""
