using System.Globalization;
using AiAspire.Core.Ledger;
using AiAspire.Core.Wire;

namespace AiAspire.Api.Usage;

/// <summary>The query of a usage request, in the words of OpenAI's usage API.</summary>
internal sealed record UsageRequest(UsageQuery Query, DateTimeOffset End, TimeSpan Bucket, bool Csv)
{
    private static readonly Dictionary<string, (TimeSpan Bucket, int Default, int Most, int MostCsv)> Widths = new(StringComparer.Ordinal)
    {
        ["1m"] = (TimeSpan.FromMinutes(1), 60, 1_440, 10_080),
        ["1h"] = (TimeSpan.FromHours(1), 24, 168, 2_232),
        ["1d"] = (TimeSpan.FromDays(1), 7, 31, 366),
    };

    private static readonly string[] Known = ["start_time", "end_time", "bucket_width", "group_by", "group_by[]", "limit", "page", "format"];

    /// <summary>The page after this one; null when this is the last.</summary>
    public string? NextPage => Query.Until < End ? Query.Until.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture) : null;

    public static UsageRequest Read(HttpRequest http, bool forOperators, DateTimeOffset now)
    {
        var query = http.Query;
        if (query.Keys.FirstOrDefault(k => !Known.Contains(k, StringComparer.Ordinal)) is { } unknown)
            throw WireException.BadRequest($"'{unknown}' is unknown here; known: {string.Join(", ", Known)}.", unknown, "unknown_field");
        var width = Last(query, "bucket_width") ?? "1d";
        if (!Widths.TryGetValue(width, out var rule))
            throw Wrong("bucket_width", "one of 1m, 1h, 1d");
        var csv = Last(query, "format") switch
        {
            null => http.GetTypedHeaders().Accept.Any(a => a.MediaType == "text/csv"),
            "csv" => true,
            "json" => false,
            _ => throw Wrong("format", "csv or json"),
        };
        var start = Align(Time(query, "start_time") ?? throw WireException.BadRequest("'start_time' is missing: Unix seconds.", "start_time", "missing_field"), rule.Bucket);
        var end = Align((Time(query, "end_time") ?? now) + rule.Bucket - TimeSpan.FromTicks(1), rule.Bucket);
        if (end <= start)
            throw Wrong("end_time", "after start_time");
        var from = Time(query, "page") is { } page ? Align(page, rule.Bucket) : start;
        if (from < start || from >= end)
            throw Wrong("page", "the next_page of a request with the same start_time and end_time");
        // A file holds the whole span, so the span is bounded instead.
        if (csv && (end - start) / rule.Bucket > rule.MostCsv)
            throw Wrong("start_time", $"at most {rule.MostCsv} buckets of {width} before end_time for a CSV file");
        var until = csv ? end : from + (rule.Bucket * Limit(query, rule.Default, rule.Most));
        return new UsageRequest(new UsageQuery(width, from, until < end ? until : end, GroupBy(query, forOperators)), end, rule.Bucket, csv);
    }

    /// <summary>Unix seconds.</summary>
    public static DateTimeOffset? Time(IQueryCollection query, string name)
    {
        if (Last(query, name) is not { } text)
            return null;
        return long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds) && seconds <= 4_102_444_800
            ? DateTimeOffset.FromUnixTimeSeconds(seconds)
            : throw Wrong(name, "Unix seconds before the year 2100");
    }

    public static WireException Wrong(string name, string expected) => WireException.BadRequest($"'{name}' must be {expected}.", name, "invalid_value");

    private static DateTimeOffset Align(DateTimeOffset time, TimeSpan bucket) => new(time.UtcTicks - (time.UtcTicks % bucket.Ticks), TimeSpan.Zero);

    private static int Limit(IQueryCollection query, int byDefault, int most)
        => Last(query, "limit") is not { } text ? byDefault
            : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var limit) && limit >= 1 && limit <= most ? limit
            : throw Wrong("limit", $"between 1 and {most} buckets");

    private static HashSet<UsageDimension> GroupBy(IQueryCollection query, bool forOperators)
    {
        var dimensions = new HashSet<UsageDimension>();
        foreach (var name in query["group_by"].Concat(query["group_by[]"]).SelectMany(v => (v ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)))
        {
            var dimension = Enum.GetValues<UsageDimension>().Where(d => d.ToString().Equals(name, StringComparison.OrdinalIgnoreCase)).Cast<UsageDimension?>().FirstOrDefault();
            if (dimension is not { } known || (known == UsageDimension.Tenant && !forOperators))
                throw Wrong("group_by", (forOperators ? "of tenant, " : "of ") + "feature, model, provider, tier (time is bucket_width's)");
            dimensions.Add(known);
        }

        return dimensions;
    }

    private static string? Last(IQueryCollection query, string name) => query.TryGetValue(name, out var values) && values.Count > 0 ? values[^1] : null;
}
