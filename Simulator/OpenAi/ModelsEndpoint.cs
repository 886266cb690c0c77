using System.Text.Json;
using AiAspire.Simulator.Models;
using AiAspire.Simulator.Wire;

namespace AiAspire.Simulator.OpenAi;

/// <summary><c>GET /v1/models</c> and <c>GET /v1/models/{id}</c>.</summary>
internal sealed class ModelsEndpoint(ICompanyWire wire, Catalog catalog)
{
    public Task ListAsync(ProviderCall call) => ReplySender.SendJsonAsync(call, json =>
    {
        json.WriteStartObject();
        json.WriteString("object"u8, "list"u8);
        json.WriteStartArray("data"u8);
        foreach (var model in catalog.All) Write(json, model);
        json.WriteEndArray();
        json.WriteEndObject();
    });

    public Task RetrieveAsync(ProviderCall call)
    {
        var id = (string)call.Context.GetRouteValue("id")!;
        var model = catalog.Find(id) ?? throw new ProviderErrorException(wire.UnknownModel(id) with { Param = "model" });
        return ReplySender.SendJsonAsync(call, json => Write(json, model));
    }

    private static void Write(Utf8JsonWriter json, SimulatedModel model)
    {
        json.WriteStartObject();
        json.WriteString("id"u8, model.Id);
        json.WriteString("object"u8, "model"u8);
        json.WriteNumber("created"u8, Catalog.CreatedUnixSeconds);
        json.WriteString("owned_by"u8, "simulator"u8);
        json.WriteEndObject();
    }
}
