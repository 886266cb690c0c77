using System.Text.Json;
using AiAspire.Core.Models;

namespace AiAspire.Core.Wire;

/// <summary>A request to classify content (OpenAI API reference, "Create moderation"). It has no output tokens, and its reply tells no usage.</summary>
public sealed class ModerationRequest : ModelRequest
{
    private ModerationRequest(JsonDocument document)
        : base(document)
    {
    }

    public override ModelKind Kind => ModelKind.Moderation;

    public override string Path => "moderations";

    /// <summary>A text, an array of texts, or one item as an array of parts.</summary>
    public required JsonElement Input { get; init; }

    /// <summary>How many verdicts were asked for; 0 for parts: some servers give one for all of them, others one for each.</summary>
    public required int Items { get; init; }

    /// <param name="body">UTF-8 JSON.</param>
    /// <param name="defaultModel">For a request that names none; null when no moderation model is on offer.</param>
    /// <exception cref="WireException">400, naming the field at fault.</exception>
    public static ModerationRequest Parse(ReadOnlyMemory<byte> body, string? defaultModel) => Read(body, "`input`", document =>
    {
        var root = document.RootElement;
        var model = new RequestFields(root).String("model") ?? defaultModel
            ?? throw WireException.BadRequest("No moderation model is offered to you: name one of GET /v1/models in 'model'.", "model", "missing_required_parameter");
        if (string.IsNullOrWhiteSpace(model))
            throw WireException.BadRequest("'model' is empty: name a model, or leave it out.", "model", "invalid_value");
        var input = Required(root, "input");
        return new ModerationRequest(document) { Model = model, Input = input, Items = CountItems(input), Bytes = body.Length };
    });

    public override long EstimateInput() => TokenCounter.EstimateTexts(Input);

    public override long CountInput(TokenCounter tokens) => tokens.CountTexts(Input);

    /// <summary>A text without a verdict would pass for harmless.</summary>
    public override ReplyTally NewTally() => new(ReplyList.Results, Items);

    private static int CountItems(JsonElement input)
    {
        if (input.ValueKind == JsonValueKind.String)
            return 1;
        if (input.ValueKind != JsonValueKind.Array)
            throw WireException.BadRequest("'input' must be a string, an array of strings, or an array of content parts.", "input", "invalid_type");
        var count = input.GetArrayLength();
        if (count == 0)
            throw WireException.BadRequest("'input' is empty: it needs at least one item.", "input", "empty_array");
        var texts = input[0].ValueKind == JsonValueKind.String;
        var i = 0;
        foreach (var item in input.EnumerateArray())
        {
            var path = $"input[{i++}]";
            if (!texts)
                CheckPart(item, path);
            else if (item.ValueKind != JsonValueKind.String)
                throw WireException.BadRequest($"'{path}' must be a string, as the items before it.", path, "invalid_type");
        }

        return texts ? count : 0;
    }

    private static void CheckPart(JsonElement part, string path)
    {
        if (part.ValueKind != JsonValueKind.Object)
            throw WireException.BadRequest($"'{path}' must be a string, or a content part as its neighbours.", path, "invalid_type");
        var type = new RequestFields(part, $"{path}.").String("type");
        switch (type)
        {
            case "text":
                if (new RequestFields(part, $"{path}.").String("text") is null)
                    throw Missing($"{path}.text");
                break;
            case "image_url":
                if (new RequestFields(part, $"{path}.").Object("image_url") is not { } image || new RequestFields(image, $"{path}.image_url.").String("url") is null)
                    throw Missing($"{path}.image_url.url");
                break;
            case null:
                throw Missing($"{path}.type");
            default:
                throw WireException.BadRequest($"'{type}' is not a type of part: use text or image_url.", $"{path}.type", "invalid_value");
        }
    }

    private static WireException Missing(string path)
        => WireException.BadRequest($"Missing required parameter: '{path}'.", path, "missing_required_parameter");
}
