using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace AiAspire.Bench;

/// <summary>How an answer is delivered.</summary>
internal enum Delivery
{
    /// <summary>One JSON body.</summary>
    Whole,

    /// <summary>Server-sent events, one token each.</summary>
    Stream,
}

/// <summary>What the command line asks for.</summary>
internal sealed record BenchOptions
{
    public const string Usage = """
        dotnet run -c Release --project tests/Bench [-- options]
          --seconds 8              length of one measurement
          --warm-up 10             seconds, twice, of each path before the first measurement; the Api's hot code is compiled anew for about a minute
          --rounds 3               rounds; each measures every path once, the table shows the median
          --concurrency 1,16,64,1000  callers that each wait for their answer before they ask again
          --only non-stream|stream one way of delivery instead of both
          --paths direct,YARP,Api  some of the paths only, for profiling one of them
          --json FILE              every single measurement as JSON
        dotnet run -c Release --project tests/Bench -- database [FILE]
          what row-level security and encryption cost, and query plans over a million rows; rewrites that section of FILE (docs/benchmarks.md)
        """;

    private const string NonStream = "non-stream";
    private const string StreamOnly = "stream";

    public TimeSpan Length { get; private init; } = TimeSpan.FromSeconds(8);

    public TimeSpan WarmUp { get; private init; } = TimeSpan.FromSeconds(10);

    public int Rounds { get; private init; } = 3;

    public IReadOnlyList<int> Concurrency { get; private init; } = [1, 16, 64, 1000];

    public IReadOnlyList<Delivery> Deliveries { get; private init; } = [Delivery.Whole, Delivery.Stream];

    public IReadOnlyList<string> Paths { get; init; } = ChatPath.Names;

    public string? JsonFile { get; private init; }

    public static bool TryParse(IReadOnlyList<string> args, [NotNullWhen(true)] out BenchOptions? options, out string problem)
    {
        var read = new BenchOptions();
        (options, problem) = (null, "");
        for (var i = 0; i < args.Count; i += 2)
        {
            if (i + 1 == args.Count)
            {
                problem = $"'{args[i]}' is not understood, or wants a value.";
                return false;
            }

            if (read.With(args[i], args[i + 1]) is not { } next)
            {
                problem = $"'{args[i]} {args[i + 1]}' is not understood.";
                return false;
            }

            read = next;
        }

        options = read;
        return true;
    }

    private BenchOptions? With(string name, string value) => name switch
    {
        "--seconds" when Number(value) is { } seconds => this with { Length = TimeSpan.FromSeconds(seconds) },
        "--warm-up" when Number(value) is { } seconds => this with { WarmUp = TimeSpan.FromSeconds(seconds) },
        "--rounds" when Number(value) is { } rounds => this with { Rounds = rounds },
        "--concurrency" when value.Split(',').Select(Number).ToArray() is var levels && levels.All(n => n is not null)
            => this with { Concurrency = [.. levels.Select(n => n!.Value)] },
        "--only" when value is NonStream or StreamOnly => this with { Deliveries = [value == NonStream ? Delivery.Whole : Delivery.Stream] },
        "--paths" when value.Split(',') is var paths && paths.All(ChatPath.Names.Contains) => this with { Paths = paths },
        "--json" => this with { JsonFile = value },
        _ => null,
    };

    private static int? Number(string text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number > 0 ? number : null;
}
