namespace AiAspire.Evaluator.Statistics;

/// <summary>A closed interval; for proportions both ends lie in 0..1.</summary>
public sealed record Interval(double Low, double High);
