using System.Text;
using System.Text.Json;

namespace AiAspire.Simulator.OpenAi;

/// <summary>Invented, repeatable log probabilities: <c>"content":[{"token":"Hi","logprob":-0.02,"bytes":[72,105],"top_logprobs":[…]}]</c>.</summary>
internal static class LogProbs
{
    private static readonly string[] Alternatives =
        [" the", " a", " and", " of", " to", " in", ".", ",", " is", " it", " for", " on", " with", " as", " that", " this", " be", " at", " by", " or"];

    /// <param name="firstPosition">Position of the first token in the reply.</param>
    public static void WriteContent(Utf8JsonWriter json, IEnumerable<string> tokens, int top, int firstPosition = 0)
    {
        json.WriteStartArray("content"u8);
        var position = firstPosition;
        foreach (var token in tokens)
        {
            var best = -0.2 * StableHash.Unit(StableHash.Of(token, (ulong)position++));
            json.WriteStartObject();
            WriteOne(json, token, best);
            json.WriteStartArray("top_logprobs"u8);
            var others = Alternatives.Where(a => a != token).Take(Math.Max(0, top - 1));
            foreach (var (index, other) in (top > 0 ? [token, .. others] : Array.Empty<string>()).Index())
            {
                json.WriteStartObject();
                WriteOne(json, other, index == 0 ? best : best - 2 - (0.5 * index));
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteNull("refusal"u8);
    }

    private static void WriteOne(Utf8JsonWriter json, string token, double logProb)
    {
        json.WriteString("token"u8, token);
        json.WriteNumber("logprob"u8, Math.Round(logProb, 6));
        json.WriteStartArray("bytes"u8);
        foreach (var utf8 in Encoding.UTF8.GetBytes(token)) json.WriteNumberValue(utf8);
        json.WriteEndArray();
    }
}
