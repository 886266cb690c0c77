using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using AiAspire.Simulator.Behaviours;
using AiAspire.Simulator.Billing;
using AiAspire.Simulator.Wire;

namespace AiAspire.Simulator.Control;

/// <summary>A refused control request; <c>Field</c> is null when it is not about one field.</summary>
internal sealed record ControlError(string Message, string? Field);

/// <summary><c>Body</c> is the raw text, cut to 64 KiB.</summary>
internal sealed record ReceivedView(
    DateTimeOffset At, string RequestId, string Method, string Path, IReadOnlyDictionary<string, string> Headers, string Body);

/// <param name="Searched">Requests in memory.</param>
/// <param name="Dropped">Requests lost since the last clear; not 0: an empty result is no proof.</param>
/// <param name="Recording">False: <c>Simulator:RecordReceived</c> is off and nothing is kept.</param>
internal sealed record ReceivedAnswer(IReadOnlyList<ReceivedView> Requests, int Searched, long Dropped, bool Recording);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UseStringEnumConverter = true,
    NumberHandling = JsonNumberHandling.Strict)]
[JsonSerializable(typeof(Behaviour))]
[JsonSerializable(typeof(Dictionary<string, Behaviour>))]
[JsonSerializable(typeof(BillAnswer))]
[JsonSerializable(typeof(ControlError))]
[JsonSerializable(typeof(ReceivedAnswer))]
[JsonSerializable(typeof(IReadOnlyDictionary<string, ModelStatistics>))]
[JsonSerializable(typeof(JsonNode))]
internal sealed partial class ControlJson : JsonSerializerContext;
