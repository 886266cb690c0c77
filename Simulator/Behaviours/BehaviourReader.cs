using System.Text.Json;

namespace AiAspire.Simulator.Behaviours;

/// <summary>A behaviour that cannot be taken.</summary>
public sealed class BehaviourException(string field, string message) : Exception(message)
{
    public string Field { get; } = field;
}

/// <summary>
/// Reads <c>{"latency":{"kind":"lognormal","p50Ms":400,"p99Ms":2000},"errorRates":{"429":0.1},"cutAfterChunks":3}</c> strictly: a
/// misspelt fault would otherwise be a test that proves nothing.
/// </summary>
internal static class BehaviourReader
{
    private const double HourMs = 3_600_000;

    public static Behaviour Read(JsonElement json)
    {
        if (json.ValueKind != JsonValueKind.Object) throw new BehaviourException("", "A behaviour is a JSON object.");
        var behaviour = Behaviour.Perfect;
        foreach (var property in json.EnumerateObject()) behaviour = Set(behaviour, property.Name, property.Value);
        return behaviour;
    }

    private static Behaviour Set(Behaviour b, string name, JsonElement value) => name switch
    {
        "latency" => b with { Latency = ReadLatency(value) },
        "timeToFirstTokenMs" => b with { TimeToFirstTokenMs = Number(name, value, 0, HourMs) },
        "tokensPerSecond" => b with { TokensPerSecond = Number(name, value, 0, 1_000_000) },
        "errorRates" => b with { ErrorRates = ReadRates(value) },
        "errorCount" => b with { ErrorCount = Whole(name, value, 0, int.MaxValue) },
        "errorStatus" => b with { ErrorStatus = Whole(name, value, 400, 599) },
        "retryAfterSeconds" => b with { RetryAfterSeconds = IsNull(value) ? null : Number(name, value, 0, 86_400) },
        "requestsPerMinute" => b with { RequestsPerMinute = OptionalWhole(name, value, 1) },
        "tokensPerMinute" => b with { TokensPerMinute = OptionalWhole(name, value, 1) },
        "hangAfterChunks" => b with { HangAfterChunks = OptionalWhole(name, value, 0) },
        "resetAfterChunks" => b with { ResetAfterChunks = OptionalWhole(name, value, 0) },
        "cutAfterChunks" => b with { CutAfterChunks = OptionalWhole(name, value, 0) },
        "malformedChunkAfter" => b with { MalformedChunkAfter = OptionalWhole(name, value, 0) },
        "errorEventAfterChunks" => b with { ErrorEventAfterChunks = OptionalWhole(name, value, 0) },
        "malformedJson" => b with { MalformedJson = Flag(name, value) },
        "faultShare" => b with { FaultShare = Number(name, value, 0, 1) },
        "faultCount" => b with { FaultCount = OptionalWhole(name, value, 0) },
        "missingUsage" => b with { MissingUsage = Flag(name, value) },
        "usageFactor" => b with { UsageFactor = Number(name, value, 0, 1000) },
        "usageOffset" => b with { UsageOffset = Whole(name, value, -1_000_000, 1_000_000) },
        "qualityDrift" => b with { QualityDrift = Number(name, value, 0, 1) },
        "seed" => b with { Seed = value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out var seed) ? seed : throw Bad(name, "a whole number") },
        _ => throw new BehaviourException(name, $"Unknown field '{name}'."),
    };

    private static Latency ReadLatency(JsonElement json)
    {
        if (json.ValueKind != JsonValueKind.Object) throw Bad("latency", "an object with a 'kind'");
        var kind = json.TryGetProperty("kind", out var given) && given.ValueKind == JsonValueKind.String ? given.GetString() : null;
        string[] fields = kind switch
        {
            "fixed" => ["ms"],
            "uniform" => ["minMs", "maxMs"],
            "lognormal" => ["p50Ms", "p99Ms"],
            _ => throw Bad("latency.kind", "'fixed', 'uniform' or 'lognormal'"),
        };
        foreach (var property in json.EnumerateObject())
        {
            if (property.Name != "kind" && !fields.Contains(property.Name))
                throw new BehaviourException($"latency.{property.Name}", $"Unknown field 'latency.{property.Name}' for kind '{kind}'.");
        }

        double Field(string name, double min = 0)
            => json.TryGetProperty(name, out var value)
                ? Number($"latency.{name}", value, min, HourMs)
                : throw new BehaviourException($"latency.{name}", $"'latency.{name}' is required for kind '{kind}'.");

        switch (kind)
        {
            case "fixed":
                return new Latency { Ms = Field("ms") };
            case "uniform":
                var min = Field("minMs");
                return new Latency { Kind = kind, MinMs = min, MaxMs = Field("maxMs", min) };
            default:
                var p50 = Field("p50Ms", 0.001);
                return new Latency { Kind = kind!, P50Ms = p50, P99Ms = Field("p99Ms", p50) };
        }
    }

    private static Dictionary<int, double> ReadRates(JsonElement json)
    {
        if (json.ValueKind != JsonValueKind.Object) throw Bad("errorRates", "an object of status: share");
        var rates = new Dictionary<int, double>();
        foreach (var property in json.EnumerateObject())
        {
            var field = $"errorRates.{property.Name}";
            if (!int.TryParse(property.Name, out var status) || status is < 400 or > 599) throw Bad(field, "an HTTP status from 400 to 599");
            rates[status] = Number(field, property.Value, 0, 1);
        }

        // Room for shares such as 0.1 + 0.2 + 0.7.
        if (rates.Values.Sum() > 1 + 1e-9) throw Bad("errorRates", "shares that sum to 1 at most");
        return rates;
    }

    private static bool IsNull(JsonElement value) => value.ValueKind == JsonValueKind.Null;

    private static double Number(string name, JsonElement value, double min, double max)
        => value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && number >= min && number <= max
            ? number
            : throw Bad(name, $"a number from {min} to {max}");

    private static int Whole(string name, JsonElement value, int min, int max)
        => value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number) && number >= min && number <= max
            ? number
            : throw Bad(name, $"a whole number from {min} to {max}");

    private static int? OptionalWhole(string name, JsonElement value, int min)
        => IsNull(value) ? null : Whole(name, value, min, int.MaxValue);

    private static bool Flag(string name, JsonElement value)
        => value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw Bad(name, "true or false");

    private static BehaviourException Bad(string field, string expected) => new(field, $"'{field}' must be {expected}.");
}
