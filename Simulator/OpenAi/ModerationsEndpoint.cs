using System.Text.Json;
using AiAspire.Simulator.Models;
using AiAspire.Simulator.Wire;

namespace AiAspire.Simulator.OpenAi;

/// <summary><c>POST /v1/moderations</c>: text, texts, or one item made of parts. Free of charge, so never billed.</summary>
internal sealed class ModerationsEndpoint(ICompanyWire wire, Catalog catalog)
{
    public async Task AnswerAsync(ProviderCall call)
    {
        using var document = RequestJson.Parse(call.Body, wire);
        var body = new RequestJson(document.RootElement, "", wire);
        var model = call.ResolveModel(body.OptionalString("model") ?? catalog.All.First(m => m.Kind == ModelKind.Moderation).Id);
        if (model.Kind != ModelKind.Moderation) throw body.Required("model").Invalid("is not a moderation model");
        var inputs = ReadInput(body.Required("input"));
        await call.AdmitAsync(0);
        await call.WaitForFirstByteAsync();

        call.ResponseId = $"modr-sim{Guid.CreateVersion7(call.Services.Time.GetUtcNow()):N}";
        await ReplySender.SendCompletedAsync(call, json =>
        {
            json.WriteStartObject();
            json.WriteString("id"u8, call.ResponseId);
            json.WriteString("model"u8, model.Id);
            json.WriteStartArray("results"u8);
            foreach (var input in inputs) WriteResult(json, input);
            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    private sealed record Input(string Text, bool HasImage);

    private static List<Input> ReadInput(RequestJson input)
    {
        if (input.IsString) return [new Input(input.String(), HasImage: false)];
        var items = input.Items().ToList();
        if (items.Count == 0) throw input.Invalid("must not be empty");
        if (items.TrueForAll(i => i.IsString)) return [.. items.Select(i => new Input(i.String(), HasImage: false))];
        var (texts, hasImage) = (new List<string>(), false);
        foreach (var part in items)
        {
            switch (part.Required("type").String())
            {
                case "text":
                    texts.Add(part.Required("text").String());
                    break;
                case "image_url":
                    _ = part.Required("image_url").Required("url").String();
                    hasImage = true;
                    break;
                default:
                    throw part.Invalid("must have the type text or image_url");
            }
        }

        return [new Input(string.Join('\n', texts), hasImage)];
    }

    private static void WriteResult(Utf8JsonWriter json, Input input)
    {
        var scores = ModerationWords.Score(input.Text);
        json.WriteStartObject();
        json.WriteBoolean("flagged"u8, scores.Any(s => s.Flagged));
        json.WriteStartObject("categories"u8);
        foreach (var score in scores) json.WriteBoolean(score.Category, score.Flagged);
        json.WriteEndObject();
        json.WriteStartObject("category_scores"u8);
        foreach (var score in scores) json.WriteNumber(score.Category, score.Value);
        json.WriteEndObject();
        json.WriteStartObject("category_applied_input_types"u8);
        foreach (var score in scores)
        {
            json.WriteStartArray(score.Category);
            json.WriteStringValue("text"u8);
            if (input.HasImage && score.LooksAtImages) json.WriteStringValue("image"u8);
            json.WriteEndArray();
        }

        json.WriteEndObject();
        json.WriteEndObject();
    }
}
