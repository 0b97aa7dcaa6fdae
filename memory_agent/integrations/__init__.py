"""Doors into what people already use: LangChain, LangGraph, the openai client, mem0's calls."""
