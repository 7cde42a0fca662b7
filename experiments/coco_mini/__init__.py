"""How well does a network find people that has seen a few thousand photographs?"""
