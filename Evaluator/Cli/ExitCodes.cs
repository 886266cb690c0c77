using AiAspire.Evaluator.Gate;

namespace AiAspire.Evaluator.Cli;

/// <summary>What scripts branch on.</summary>
internal static class ExitCodes
{
    public const int Ship = 0;
    public const int Block = 1;

    /// <summary>A wrong command line, an unusable file, or no target.</summary>
    public const int Unusable = 2;
    public const int Inconclusive = 3;

    public static int Of(Verdict verdict, bool allowInconclusive) => verdict switch
    {
        Verdict.Ship => Ship,
        Verdict.Block => Block,
        _ => allowInconclusive ? Ship : Inconclusive,
    };
}
