using System.Text.Json;
using System.Text.Json.Nodes;

namespace AiAspire.Core.Wire;

/// <summary>
/// A streamed reply as the whole one it would have been: <c>chat.completion.chunk</c> events folded to one <c>chat.completion</c>. Texts of a
/// delta are joined (those of fields we have never heard of too), tool calls are put together by their <c>index</c>.
/// </summary>
public sealed class CompletionFold
{
    private readonly JsonObject _whole = new() { ["object"] = "chat.completion" };
    private readonly SortedDictionary<int, JsonObject> _choices = [];

    /// <exception cref="JsonException">Not the JSON of a chunk.</exception>
    public void Add(ReadOnlySpan<byte> chunk)
    {
        if (JsonNode.Parse(chunk) is not JsonObject parsed)
            throw new JsonException("An event of the reply is not a JSON object.");
        foreach (var (name, value) in parsed)
        {
            if (name == "choices")
                AddChoices(value as JsonArray ?? []);
            else if (name != "object" && value is not null)
                _whole[name] = value.DeepClone();
        }
    }

    public byte[] ToJson()
    {
        _whole["choices"] = new JsonArray([.. _choices.Values.Select(c => c.DeepClone())]);
        return JsonSerializer.SerializeToUtf8Bytes(_whole);
    }

    private void AddChoices(JsonArray choices)
    {
        foreach (var choice in choices.OfType<JsonObject>())
        {
            var index = (int?)choice["index"] ?? 0;
            if (!_choices.TryGetValue(index, out var whole))
            {
                _choices[index] = whole = new JsonObject
                {
                    ["index"] = index,
                    ["message"] = new JsonObject { ["role"] = "assistant", ["content"] = null },
                    ["finish_reason"] = null,
                };
            }

            foreach (var (name, value) in choice)
            {
                switch (name)
                {
                    case "index":
                        break;
                    case "delta" when value is JsonObject delta:
                        AddDelta((JsonObject)whole["message"]!, delta);
                        break;
                    case "logprobs" when value is JsonObject logprobs:
                        Join(whole, "logprobs", logprobs);
                        break;
                    default:
                        if (value is not null)
                            whole[name] = value.DeepClone();
                        break;
                }
            }
        }
    }

    private static void AddDelta(JsonObject message, JsonObject delta)
    {
        foreach (var (name, value) in delta)
        {
            if (name == "tool_calls")
                AddToolCalls(message, value as JsonArray ?? []);
            else if (name == "role")
                message[name] = value?.DeepClone();
            else if (value is not null)
                message[name] = Joined(message[name], value);
        }
    }

    private static void AddToolCalls(JsonObject message, JsonArray calls)
    {
        // Some servers send an empty array with every chunk: that is no call.
        if (calls.Count == 0)
            return;
        if (message["tool_calls"] is not JsonArray whole)
            message["tool_calls"] = whole = [];
        foreach (var call in calls.OfType<JsonObject>())
        {
            var index = (int?)call["index"] ?? whole.Count;
            while (whole.Count <= index)
                whole.Add(new JsonObject());
            var target = (JsonObject)whole[index]!;
            foreach (var (name, value) in call)
            {
                if (name == "function" && value is JsonObject function)
                    Join(target, name, function);
                else if (name != "index" && value is not null)
                    target[name] = value.DeepClone();
            }
        }
    }

    /// <summary>Adds the texts and arrays of an object to those of the one that stands there.</summary>
    private static void Join(JsonObject parent, string name, JsonObject more)
    {
        if (parent[name] is not JsonObject target)
            parent[name] = target = [];
        foreach (var (field, value) in more)
        {
            if (value is not null)
                target[field] = Joined(target[field], value);
        }
    }

    private static JsonNode Joined(JsonNode? before, JsonNode more)
    {
        if (before is JsonArray all && more is JsonArray added)
            return new JsonArray([.. all.Concat(added).Select(n => n?.DeepClone())]);
        return before?.GetValueKind() == JsonValueKind.String && more.GetValueKind() == JsonValueKind.String
            ? JsonValue.Create((string)before! + (string)more!)
            : more.DeepClone();
    }
}
