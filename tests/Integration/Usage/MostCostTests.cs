using AiAspire.Core.Models;
using AiAspire.Integration.Application;

namespace AiAspire.Integration.Usage;

/// <summary>What a dead process left open is closed by the database at what was reserved for it by the process: two texts of one rule.</summary>
[Collection(ApplicationCollection.Name)]
public sealed class MostCostTests(RunningApplication application)
{
    [Fact]
    [Trait("Checklist", "COST-01")]
    public async Task The_database_takes_a_call_to_cost_at_most_what_the_price_says_on_either_side_of_every_threshold()
    {
        var price = new ModelPrice
        {
            TenantId = default,
            PriceId = default,
            Provider = "p",
            UpstreamModel = "m",
            EffectiveFrom = default,
            Input = 3,
            CachedInput = 0.3m,
            CacheWrite = 3.75m,
            Output = 15,
            Reasoning = 16,
            // The second is dearer for what it reads alone.
            LongContext = [new LongContextPrice(200_000, 6, 0.6m, 7.5m, 22.5m, 20), new LongContextPrice(500_000, 7, 8, 1, 10, 10)],
        };
        await using var database = await application.OpenSuperuserAsync();
        foreach (var input in new[] { 0L, 1, 200_000, 200_001, 500_000, 500_001, 2_000_000 })
        {
            var cost = await database.ScalarAsync<decimal>(
                """
                SELECT aiaspire.most_cost(jsonb_populate_record(NULL::aiaspire.model_prices,
                    '{"input":3,"cached_input":0.3,"cache_write":3.75,"output":15,"reasoning":16,"long_context":[
                        {"above":200000,"input":6,"cached_input":0.6,"cache_write":7.5,"output":22.5,"reasoning":20},
                        {"above":500000,"input":7,"cached_input":8,"cache_write":1,"output":10,"reasoning":10}]}'), $1, 1000)
                """,
                input);

            Assert.True(cost == price.MostCost(input, 1000), $"{input} tokens: {cost} in the database, {price.MostCost(input, 1000)} by the price");
        }
    }
}
