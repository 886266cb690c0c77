using System.Text.Json;
using AiAspire.Simulator.Models;
using AiAspire.Simulator.Wire;

namespace AiAspire.Simulator.Anthropic;

/// <summary><c>GET /v1/models</c> and <c>GET /v1/models/{id}</c>.</summary>
internal sealed class AnthropicModelsEndpoint(ICompanyWire wire, Catalog catalog)
{
    public Task ListAsync(ProviderCall call) => ReplySender.SendJsonAsync(call, json =>
    {
        json.WriteStartObject();
        json.WriteStartArray("data"u8);
        foreach (var model in catalog.All) Write(json, model);
        json.WriteEndArray();
        json.WriteBoolean("has_more"u8, false);
        json.WriteString("first_id"u8, catalog.All[0].Id);
        json.WriteString("last_id"u8, catalog.All[^1].Id);
        json.WriteEndObject();
    });

    public Task RetrieveAsync(ProviderCall call)
    {
        var id = (string)call.Context.GetRouteValue("id")!;
        var model = catalog.Find(id) ?? throw new ProviderErrorException(wire.UnknownModel(id));
        return ReplySender.SendJsonAsync(call, json => Write(json, model));
    }

    private static void Write(Utf8JsonWriter json, SimulatedModel model)
    {
        json.WriteStartObject();
        json.WriteString("type"u8, "model"u8);
        json.WriteString("id"u8, model.Id);
        json.WriteString("display_name"u8, model.DisplayName);
        json.WriteString("lifecycle"u8, "active"u8);
        json.WriteNumber("max_input_tokens"u8, model.ContextTokens);
        json.WriteNull("max_tokens"u8);
        json.WriteNull("capabilities"u8);
        json.WriteNull("line"u8);
        json.WriteNull("deprecated_at"u8);
        json.WriteNull("retires_at"u8);
        json.WriteString("created_at"u8, DateTimeOffset.FromUnixTimeSeconds(Catalog.CreatedUnixSeconds).UtcDateTime);
        json.WriteEndObject();
    }
}
