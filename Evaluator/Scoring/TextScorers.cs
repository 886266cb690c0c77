using System.Text.RegularExpressions;
using AiAspire.Evaluator.Suites;

namespace AiAspire.Evaluator.Scoring;

/// <summary>
/// <c>contains</c> (case counts) and <c>icontains</c> (it does not): the reply holds <c>value</c>, every text of <c>all</c>,
/// and at least one of <c>any</c>. The score is the share that was found.
/// </summary>
internal sealed class ContainsScorer : IScorer
{
    private readonly StringComparison _comparison;
    private readonly IReadOnlyList<string> _all;
    private readonly IReadOnlyList<string> _any;

    private ContainsScorer(string type, StringComparison comparison, YamlMap entry)
    {
        Type = type;
        _comparison = comparison;
        _all = [.. entry.OptionalText("value") is { } value ? [value] : Array.Empty<string>(), .. entry.Texts("all")];
        _any = entry.Texts("any");
        if (_all.Count + _any.Count == 0)
            throw entry.Problem($"'{type}' needs 'value', 'all' or 'any'.");
    }

    public static ScorerRegistration CaseSensitive { get; } =
        new("contains", static entry => new ContainsScorer("contains", StringComparison.Ordinal, entry));

    public static ScorerRegistration CaseInsensitive { get; } =
        new("icontains", static entry => new ContainsScorer("icontains", StringComparison.OrdinalIgnoreCase, entry));

    public string Type { get; }

    public ValueTask<ScorerResult> ScoreAsync(ScoringContext context, CancellationToken cancellationToken)
    {
        var reply = context.Reply.Content;
        var missing = _all.Where(text => !reply.Contains(text, _comparison)).ToList();
        var wanted = _all.Count;
        if (_any.Count > 0)
        {
            wanted++;
            if (!_any.Any(text => reply.Contains(text, _comparison)))
                missing.Add(string.Join("\" or \"", _any));
        }

        var reason = missing.Count == 0 ? "the reply holds what it must" : $"the reply lacks \"{string.Join("\", \"", missing)}\"";
        return new(ScorerResult.Of(Type, missing.Count == 0, (double)(wanted - missing.Count) / wanted, reason));
    }
}

/// <summary><c>not_contains</c>: neither <c>value</c> nor any text of <c>any</c> occurs, whatever the case.</summary>
internal sealed class NotContainsScorer : IScorer
{
    private readonly IReadOnlyList<string> _forbidden;

    private NotContainsScorer(YamlMap entry)
    {
        _forbidden = [.. entry.OptionalText("value") is { } value ? [value] : Array.Empty<string>(), .. entry.Texts("any")];
        if (_forbidden.Count == 0)
            throw entry.Problem("'not_contains' needs 'value' or 'any'.");
    }

    public static ScorerRegistration Registration { get; } = new("not_contains", static entry => new NotContainsScorer(entry));

    public string Type => "not_contains";

    public ValueTask<ScorerResult> ScoreAsync(ScoringContext context, CancellationToken cancellationToken)
    {
        // Tool arguments count: a secret that leaves by a tool call has left.
        var said = string.Join('\n', [context.Reply.Content, .. context.Reply.ToolCalls.Select(call => call.Arguments)]);
        var found = _forbidden.FirstOrDefault(text => said.Contains(text, StringComparison.OrdinalIgnoreCase));
        return new(ScorerResult.Of(Type, found is null, found is null ? "nothing forbidden occurs" : $"the reply holds \"{found}\""));
    }
}

/// <summary><c>equals</c>: the reply is <c>value</c>, but for white space around it.</summary>
internal sealed class EqualsScorer(string value) : IScorer
{
    public static ScorerRegistration Registration { get; } = new("equals", static entry => new EqualsScorer(entry.Text("value").Trim()));

    public string Type => "equals";

    public ValueTask<ScorerResult> ScoreAsync(ScoringContext context, CancellationToken cancellationToken)
    {
        var pass = context.Reply.Content.AsSpan().Trim().SequenceEqual(value);
        return new(ScorerResult.Of(Type, pass, pass ? "the reply is as expected" : $"the reply is not \"{value}\""));
    }
}

/// <summary><c>regex</c>: <c>pattern</c> matches somewhere; <c>ignore_case</c> as wished.</summary>
internal sealed class RegexScorer(Regex regex) : IScorer
{
    public static ScorerRegistration Registration { get; } = new("regex", static entry =>
    {
        var pattern = entry.Text("pattern");
        var options = entry.Flag("ignore_case") ? RegexOptions.IgnoreCase | RegexOptions.CultureInvariant : RegexOptions.CultureInvariant;
        try
        {
            return new RegexScorer(new Regex(pattern, options, TimeSpan.FromSeconds(1)));
        }
        catch (ArgumentException problem)
        {
            throw entry.Problem($"'pattern' is not a regular expression: {problem.Message}");
        }
    });

    public string Type => "regex";

    public ValueTask<ScorerResult> ScoreAsync(ScoringContext context, CancellationToken cancellationToken)
    {
        try
        {
            var pass = regex.IsMatch(context.Reply.Content);
            return new(ScorerResult.Of(Type, pass, pass ? "the pattern matches" : $"nothing matches /{regex}/"));
        }
        catch (RegexMatchTimeoutException)
        {
            return new(ScorerResult.Of(Type, pass: false, $"/{regex}/ took longer than a second on this reply"));
        }
    }
}

/// <summary><c>max_words</c> and <c>min_words</c>: length bounds, in words separated by white space.</summary>
internal sealed class WordCountScorer(string type, int bound, bool atMost) : IScorer
{
    private const int Longest = 1_000_000;

    public static ScorerRegistration AtMost { get; } =
        new("max_words", static entry => new WordCountScorer("max_words", entry.WholeNumber("value", 1, Longest), atMost: true));

    public static ScorerRegistration AtLeast { get; } =
        new("min_words", static entry => new WordCountScorer("min_words", entry.WholeNumber("value", 1, Longest), atMost: false));

    public string Type => type;

    public ValueTask<ScorerResult> ScoreAsync(ScoringContext context, CancellationToken cancellationToken)
    {
        var words = context.Reply.Content.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Length;
        var pass = atMost ? words <= bound : words >= bound;
        return new(ScorerResult.Of(type, pass, $"{words} words, {(atMost ? "at most" : "at least")} {bound} allowed"));
    }
}
