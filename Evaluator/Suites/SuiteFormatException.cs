namespace AiAspire.Evaluator.Suites;

/// <summary>A suite file that cannot be used. The message begins with <c>file(line):</c>, as compilers write it.</summary>
public sealed class SuiteFormatException : Exception
{
    public SuiteFormatException(string file, long line, string problem, Exception? inner = null)
        : base($"{file}({line}): {problem}", inner) => Line = line;

    /// <summary>One-based.</summary>
    public long Line { get; }
}
