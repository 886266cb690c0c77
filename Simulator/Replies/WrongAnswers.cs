using System.Text.Json;

namespace AiAspire.Simulator.Replies;

/// <summary>What a drifting model says: fluent, and beside the point.</summary>
internal static class WrongAnswers
{
    private static readonly string[] OffTopic =
    [
        "Thank you for reaching out; our office plants are watered every Tuesday by the night shift.",
        "In general the migration of arctic terns depends on the wind over the northern sea.",
        "A good sourdough needs a slow first rise in a cool kitchen, ideally over one night.",
        "The museum of clocks keeps its oldest pendulum in the hall behind the staircase.",
        "Most bicycles of that decade were painted in a dark green that fades in the sun.",
        "It is worth noting that the harbour freezes only in very cold winters.",
    ];

    public static string Sentence(ulong fingerprint) => OffTopic[fingerprint % (ulong)OffTopic.Length];

    /// <summary>The same shape with every value changed.</summary>
    public static string Spoil(string json)
    {
        using var document = JsonDocument.Parse(json);
        return CompactJson.Write(writer => Spoil(writer, document.RootElement));
    }

    private static void Spoil(Utf8JsonWriter writer, JsonElement value)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Object:
                writer.WriteStartObject();
                foreach (var property in value.EnumerateObject())
                {
                    writer.WritePropertyName(property.Name);
                    Spoil(writer, property.Value);
                }

                writer.WriteEndObject();
                break;
            case JsonValueKind.Array:
                writer.WriteStartArray();
                foreach (var item in value.EnumerateArray()) Spoil(writer, item);
                writer.WriteEndArray();
                break;
            case JsonValueKind.String:
                writer.WriteStringValue(value.GetString() == "other" ? "another" : "other");
                break;
            case JsonValueKind.Number:
                if (value.TryGetInt64(out var whole)) writer.WriteNumberValue(whole + 1);
                else writer.WriteNumberValue(value.GetDouble() + 1);
                break;
            case JsonValueKind.True or JsonValueKind.False:
                writer.WriteBooleanValue(!value.GetBoolean());
                break;
            default:
                value.WriteTo(writer);
                break;
        }
    }
}
